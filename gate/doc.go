// Package gate opens and closes runs and executes actions.
//
// A [Gate] is the whole of latchgate in one value: [New] builds it from a
// configuration, [Gate.Listen] opens the agent's door and [Gate.Control] the
// operator's socket. The daemon, `latchgate exec` without a daemon, and
// `latchgate demo` all use it the same way.
//
// To follow a run, read open.go (manifest, policy, secrets, run), then
// execute.go (the same, and a provider), then package proxy, which is where a
// request of the run goes. [Dial] talks to a gate in another process.
package gate
