// Package manifests reads action manifests: the YAML files that say what an
// action is, which hosts it may reach, which secrets it uses and where each
// secret is put on a request.
//
// A daemon calls [Load] once and again on every reload, asks the [Catalog] for
// actions by id, and decides for itself what to do when [HasErrors] says that
// some file is broken. A command that checks one file calls [Parse].
//
// A [Manifest] that these return is complete and checked: defaults are filled
// in, patterns are compiled, and every binding stays inside the hosts that the
// action may reach. Do not build one by hand and expect the wire to be safe
// with it; parse YAML instead, in tests too. Do not change one either: a
// catalogue is shared by all runs.
//
// The package knows names only. It never sees the value of a secret.
package manifests
