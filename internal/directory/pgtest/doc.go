// Package pgtest gives tests a real PostgreSQL, in under a second and as an unprivileged user. A test
// binary shares one server, in which every test has a database of its own; a test that stops the
// server or changes its settings starts another.
//
// PostgreSQL must be installed (Debian: postgresql). A test that needs it fails without it: a test
// that did not run promises nothing.
package pgtest
