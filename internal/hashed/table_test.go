package hashed

import (
	"testing"

	"pgregory.net/rapid"
)

// A table against a map, with hashes of few values: rows get long, and go around the end.
func TestATableFindsWhatAMapFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x Table
		hashes := map[uint32]uint64{} // by number
		one := func(t *rapid.T) uint32 { return rapid.Uint32Range(0, 99).Draw(t, "number") }
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				n := one(t)
				if _, isThere := hashes[n]; isThere {
					return
				}
				hashes[n] = rapid.Uint64Range(0, 3).Draw(t, "hash")<<62 | rapid.Uint64().Draw(t, "rest")>>31
				x.Add(hashes[n], n)
			},
			"replace": func(t *rapid.T) {
				was, is := one(t), one(t)
				hash, isThere := hashes[was]
				if _, taken := hashes[is]; !isThere || taken {
					return
				}
				x.Replace(hash, was, is)
				delete(hashes, was)
				hashes[is] = hash
			},
			"remove": func(t *rapid.T) {
				n := one(t)
				x.Remove(hashes[n], n)
				delete(hashes, n)
			},
			"": func(t *rapid.T) {
				for n := range uint32(100) {
					hash, want := hashes[n]
					got, found := x.Find(hash, func(other uint32) bool { return other == n })
					if found != want || found && got != n {
						t.Fatalf("%d is found: %v, want %v", n, found, want)
					}
				}
				all := 0
				for n := range x.All() {
					if _, isThere := hashes[n]; !isThere {
						t.Fatalf("%d is there", n)
					}
					all++
				}
				if x.Len() != len(hashes) || all != len(hashes) {
					t.Fatalf("there are %d entries, %d of them shown, want %d", x.Len(), all, len(hashes))
				}
			},
		})
	})
}
