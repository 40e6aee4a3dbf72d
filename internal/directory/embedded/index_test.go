package embedded

import (
	"testing"

	"pgregory.net/rapid"
)

// An index against a map, with hashes of few values: rows get long, and go around the end.
func TestAnIndexFindsWhatAMapFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x index
		hashes := map[uint32]uint64{} // by slot
		one := func(t *rapid.T) uint32 { return rapid.Uint32Range(0, 99).Draw(t, "slot") }
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				slot := one(t)
				if _, isThere := hashes[slot]; isThere {
					return
				}
				hashes[slot] = rapid.Uint64Range(0, 3).Draw(t, "hash")<<62 | rapid.Uint64().Draw(t, "rest")>>31
				x.add(hashes[slot], slot)
			},
			"remove": func(t *rapid.T) {
				slot := one(t)
				x.remove(hashes[slot], slot)
				delete(hashes, slot)
			},
			"": func(t *rapid.T) {
				for slot := range uint32(100) {
					hash, want := hashes[slot]
					got, found := x.find(hash, func(n uint32) bool { return n == slot })
					if found != want || found && got != slot {
						t.Fatalf("slot %d is found: %v, want %v", slot, found, want)
					}
				}
				if x.used != len(hashes) {
					t.Fatalf("%d entries are used of %d", x.used, len(hashes))
				}
			},
		})
	})
}
