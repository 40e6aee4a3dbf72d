package embedded

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"
)

// seenPages are when machines were last seen, many of them under one key: a key for each would cost
// more memory than all else that is known of it, and a fleet that comes back would be as many writes.
type seenPages [1 << pageBits]seenPage

// pageBits is fixed: which page a machine is on must be the same for every node, for ever.
const pageBits = 8

type seenPage struct {
	revision uint64
	lines    []seenLine // in order of machine, and never written to
}

type seenLine struct {
	machine uint64 // some of the hash of its id
	at      int64  // Unix nanoseconds
}

// lineOf is the line of a machine and the number of its page.
func lineOf(id string, at time.Time) (page int, line seenLine) {
	sum := sha256.Sum256([]byte(id))
	n := binary.BigEndian.Uint64(sum[:])
	return int(n >> (64 - pageBits)), seenLine{n, at.UnixNano()}
}

// at is when a machine was last seen; zero if that is not known here.
func (p *seenPages) at(id string) time.Time {
	page, line := lineOf(id, time.Time{})
	lines := p[page].lines
	if i, found := slices.BinarySearchFunc(lines, line, byMachine); found {
		return time.Unix(0, lines[i].at).UTC()
	}
	return time.Time{}
}

func byMachine(l, m seenLine) int { return cmp.Compare(l.machine, m.machine) }

// with are the page's lines and some more, or later ones in their places.
func (p seenPage) with(more []seenLine) []seenLine {
	lines := slices.Concat(p.lines, more)
	slices.SortFunc(lines, func(l, m seenLine) int { return cmp.Or(byMachine(l, m), cmp.Compare(m.at, l.at)) })
	return slices.CompactFunc(lines, func(l, m seenLine) bool { return l.machine == m.machine })
}

// apply takes in a page, unless a later one was. One that was removed is empty.
func (p *seenPages) apply(key string, value []byte, revision uint64) error {
	page, err := strconv.ParseUint(key, 10, pageBits)
	if err != nil {
		return errors.New("there is no such page")
	}
	if revision <= p[page].revision {
		return nil
	}
	lines, err := parsePage(value)
	if err != nil {
		lines = p[page].lines // the page before, which the next news are written to
	}
	p[page] = seenPage{revision, lines}
	return err
}

// pageRecord is a page as it is stored. At is for an earlier version, to which each key is a machine.
type pageRecord struct {
	At    time.Time `json:"at"`
	Lines []byte    `json:"lines"`
}

const lineLength = 16

func encodePage(lines []seenLine) []byte {
	r := pageRecord{Lines: make([]byte, 0, len(lines)*lineLength)}
	for _, l := range lines {
		r.Lines = binary.BigEndian.AppendUint64(r.Lines, l.machine)
		r.Lines = binary.BigEndian.AppendUint64(r.Lines, uint64(l.at))
		r.At = later(r.At, time.Unix(0, l.at).UTC())
	}
	return encode(r)
}

func parsePage(value []byte) ([]seenLine, error) {
	if value == nil {
		return nil, nil
	}
	var r pageRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, errBadJSON
	}
	if len(r.Lines)%lineLength != 0 {
		return nil, errors.New("a line of it is not whole")
	}
	lines := make([]seenLine, 0, len(r.Lines)/lineLength)
	for line := range slices.Chunk(r.Lines, lineLength) {
		lines = append(lines, seenLine{binary.BigEndian.Uint64(line), int64(binary.BigEndian.Uint64(line[8:]))})
	}
	if !slices.IsSortedFunc(lines, byMachine) {
		return nil, errors.New("its lines are not in order")
	}
	return lines, nil
}

func pageKey(page int) string { return pagePrefix + strconv.Itoa(page) }
