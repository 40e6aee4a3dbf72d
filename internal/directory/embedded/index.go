package embedded

// index finds slots by what they hold. It keeps no copy of that: an entry is the number of a slot
// beside some bits of a hash, and the slot knows the rest. It is a hash table of open addressing: an
// entry stands at the place its hash asks for or, in a row, behind it.
type index struct {
	entries []entry
	used    int
}

// entry is the upper half of a hash above a slot's number plus one. Zero is empty.
type entry uint64

func newEntry(hash uint64, slot uint32) entry { return entry(hash&^0xffffffff | uint64(slot+1)) }

func (e entry) slot() uint32 { return uint32(e) - 1 }

// place is where e asks to stand among n.
func (e entry) place(n int) int { return int(uint64(e) >> 32 * uint64(n) >> 32) }

// find returns the slot of that hash for which is says yes.
func (x *index) find(hash uint64, is func(slot uint32) bool) (slot uint32, found bool) {
	if len(x.entries) == 0 {
		return 0, false
	}
	for i := entry(hash).place(len(x.entries)); x.entries[i] != 0; i = x.after(i) {
		if uint64(x.entries[i])>>32 == hash>>32 && is(x.entries[i].slot()) {
			return x.entries[i].slot(), true
		}
	}
	return 0, false
}

func (x *index) after(i int) int {
	if i++; i < len(x.entries) {
		return i
	}
	return 0
}

// add keeps a fifth of the places empty: rows stay short. The table grows by little, because what is
// empty costs as much as what is used.
func (x *index) add(hash uint64, slot uint32) {
	if (x.used+1)*5 > len(x.entries)*4 {
		old := x.entries
		x.entries = make([]entry, len(old)+len(old)/4+8)
		for _, e := range old {
			if e != 0 {
				x.put(e)
			}
		}
	}
	x.put(newEntry(hash, slot))
	x.used++
}

func (x *index) put(e entry) {
	i := e.place(len(x.entries))
	for x.entries[i] != 0 {
		i = x.after(i)
	}
	x.entries[i] = e
}

// remove moves up those of the row that the entry stood in the way of.
func (x *index) remove(hash uint64, slot uint32) {
	if len(x.entries) == 0 {
		return
	}
	e := newEntry(hash, slot)
	i := e.place(len(x.entries))
	for x.entries[i] != e {
		if x.entries[i] == 0 {
			return
		}
		i = x.after(i)
	}
	x.used--
	x.entries[i] = 0
	for j := x.after(i); x.entries[j] != 0; j = x.after(j) {
		moved := x.entries[j]
		x.entries[j] = 0
		x.put(moved)
	}
}
