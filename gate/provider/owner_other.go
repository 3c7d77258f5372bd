//go:build !unix

package provider

import "io/fs"

// ownedByUs accepts every file: there are no owners and modes to look at here.
func ownedByUs(fs.FileInfo) error { return nil }
