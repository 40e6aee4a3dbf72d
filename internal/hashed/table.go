// Package hashed finds things by a hash of what they hold, and keeps no copy of that: a table holds the
// things' numbers, and whoever looks compares. It is for what there is a million of: an entry is eight
// bytes, and the garbage collector has nothing to look at. A table has no lock of its own.
package hashed

import "iter"

// Table is a hash table of open addressing: an entry stands at the place its hash asks for or, in a
// row, behind it. The zero Table is empty. Numbers are below 2^32-1.
type Table struct {
	entries []entry
	used    int
}

// entry is the upper half of a hash above a number plus one. Zero is empty.
type entry uint64

func newEntry(hash uint64, number uint32) entry { return entry(hash&^0xffffffff | uint64(number+1)) }

func (e entry) number() uint32 { return uint32(e) - 1 }

// place is where e asks to stand among n.
func (e entry) place(n int) int { return int(uint64(e) >> 32 * uint64(n) >> 32) }

// Len is the number of entries.
func (t *Table) Len() int { return t.used }

// All are the numbers of all entries.
func (t *Table) All() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for _, e := range t.entries {
			if e != 0 && !yield(e.number()) {
				return
			}
		}
	}
}

// Find returns the number of that hash for which is says yes.
func (t *Table) Find(hash uint64, is func(number uint32) bool) (number uint32, found bool) {
	if len(t.entries) == 0 {
		return 0, false
	}
	for i := entry(hash).place(len(t.entries)); t.entries[i] != 0; i = t.after(i) {
		if uint64(t.entries[i])>>32 == hash>>32 && is(t.entries[i].number()) {
			return t.entries[i].number(), true
		}
	}
	return 0, false
}

// Add adds a number that is not there with that hash. A fifth of the places stay empty: rows stay
// short. The table grows by little, because what is empty costs as much as what is used.
func (t *Table) Add(hash uint64, number uint32) {
	if (t.used+1)*5 > len(t.entries)*4 {
		old := t.entries
		t.entries = make([]entry, len(old)+len(old)/4+8)
		for _, e := range old {
			if e != 0 {
				t.put(e)
			}
		}
	}
	t.put(newEntry(hash, number))
	t.used++
}

// Replace puts another number in place of one that is there.
func (t *Table) Replace(hash uint64, was, is uint32) {
	if i := t.where(newEntry(hash, was)); i >= 0 {
		t.entries[i] = newEntry(hash, is)
	}
}

// Remove takes a number out, if it is there.
func (t *Table) Remove(hash uint64, number uint32) {
	i := t.where(newEntry(hash, number))
	if i < 0 {
		return
	}
	t.used--
	t.entries[i] = 0
	// Those of the row that it stood in the way of move up.
	for j := t.after(i); t.entries[j] != 0; j = t.after(j) {
		moved := t.entries[j]
		t.entries[j] = 0
		t.put(moved)
	}
}

// where is where an entry stands, or negative.
func (t *Table) where(e entry) int {
	if len(t.entries) == 0 {
		return -1
	}
	for i := e.place(len(t.entries)); t.entries[i] != 0; i = t.after(i) {
		if t.entries[i] == e {
			return i
		}
	}
	return -1
}

func (t *Table) put(e entry) {
	i := e.place(len(t.entries))
	for t.entries[i] != 0 {
		i = t.after(i)
	}
	t.entries[i] = e
}

func (t *Table) after(i int) int {
	if i++; i < len(t.entries) {
		return i
	}
	return 0
}
