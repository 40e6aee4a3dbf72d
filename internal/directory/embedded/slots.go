package embedded

import (
	"slices"
	"strings"
)

// slot is what is known under one key.
type slot struct {
	place    place
	house    *house // nil: there was no record yet
	lives    packed
	revision uint64
	next     uint32 // the number of the next slot of its house plus one; zero: it is the last
	state    pageState
	isLong   bool // as its record is
}

// house is an account's slots. They share its name and the keys its machines came with.
type house struct {
	account string
	first   uint32 // the number of its first slot plus one
	keys    []digest
}

// number is that of a key.
func (h *house) number(d digest) int {
	i := slices.Index(h.keys, d)
	if i < 0 {
		i = len(h.keys)
		h.keys = append(h.keys, d)
	}
	return i
}

// slots are all slots there are, by number. They lie in chunks, so that one more never costs a copy
// of all, and none ever goes.
type slots struct {
	chunks []*chunk
	count  uint32
}

// chunk is slots beside each other. Their lives lie in one piece of memory; those that have changed
// since it was made lie apart, until there are enough of them to make it anew. Many small pieces that
// stay, among many that go, would keep the memory of both.
type chunk struct {
	slots [slotsOfChunk]slot
	apart int
}

const (
	slotsOfChunk = 256
	mostApart    = slotsOfChunk / 8
)

// add makes a slot and returns its number.
func (s *slots) add(at place) uint32 {
	if s.count%slotsOfChunk == 0 {
		s.chunks = append(s.chunks, new(chunk))
	}
	n := s.count
	s.count++
	s.at(n).place = at
	return n
}

func (s *slots) at(n uint32) *slot { return &s.chunks[n/slotsOfChunk].slots[n%slotsOfChunk] }

// keep puts lives into slot n.
func (s *slots) keep(n uint32, lives packed) {
	s.at(n).lives = lives
	c := s.chunks[n/slotsOfChunk]
	if c.apart++; c.apart == mostApart {
		c.gather()
	}
}

func (c *chunk) gather() {
	var all strings.Builder
	size := 0
	for i := range c.slots {
		size += len(c.slots[i].lives)
	}
	all.Grow(size)
	for i := range c.slots {
		all.WriteString(string(c.slots[i].lives))
	}
	rest := packed(all.String())
	for i := range c.slots {
		n := len(c.slots[i].lives)
		c.slots[i].lives, rest = rest[:n], rest[n:]
	}
	c.apart = 0
}
