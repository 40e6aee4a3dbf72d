package socket

import "slices"

// shortBurst is what is written to many connections at once at most: for more, the call is the least
// of it.
const shortBurst = 4 << 10

// Burst is frames that many connections are handed together. It is shared and must not be changed.
type Burst struct {
	Frames []Prepared
	joined []byte // the frames in a row, if they are short
}

// NewBurst makes a burst of at least one frame.
func NewBurst(frames ...Prepared) Burst {
	b := Burst{Frames: frames}
	size := 0
	for _, f := range frames {
		size += len(f)
	}
	switch {
	case size > shortBurst:
	case len(frames) == 1:
		b.joined = frames[0]
	default:
		b.joined = slices.Concat(frames...)
	}
	return b
}

// IsShort tells whether the burst is worth handing to many connections at once.
func (b Burst) IsShort() bool { return b.joined != nil }
