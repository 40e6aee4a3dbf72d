// Package limit says when something happens too often or too many times at once.
//
// Rates follow GCRA: a meter is one number, the time at which everything taken so far would have
// been earned at the steady rate. A meter whose time has passed is the same as a new one, so
// nothing has to be kept about those who are quiet, and everything here forgets them by itself,
// without a goroutine. Whatever order calls come in, nobody takes more than burst + rate * time.
//
// Memory is bounded. A table that is full forgets, of a few meters, the one that is nearest to
// being forgotten anyway: a flood of new keys may free somebody early, but never shuts anybody out.
package limit
