//go:build !linux

package main

import "io"

// isJournal: there is no journal here.
func isJournal(io.Writer) bool { return false }
