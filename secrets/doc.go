// Package secrets is the encrypted store: it decrypts a SOPS file, hands out
// exactly the values that a run may have, forgets them, and changes the file.
//
// A daemon calls [Open] once and [Store.View] once for every run; the run calls
// [View.Acquire] for every request, reads values with [Set.Get], and calls
// [Set.Release] when the request is done. Commands call [Store.Edit] to change
// the file and [Init] to make one.
//
// The bytes of a [Value] come out of [Value.Reveal] and nowhere else. Do not
// call it to log, compare or store a value: [Value.Equal] compares, every
// printing of a Value is [Redacted], and the bytes are overwritten once the Set
// that they came from is released. A test lists the callers of Reveal.
//
// Two backends answer the same question with the same values. The embedded one
// reads and writes the SOPS format itself with age keys; the other runs the sops
// program, which knows every key service. The MAC of a file is verified by both,
// always. Don't parse a SOPS file elsewhere.
package secrets
