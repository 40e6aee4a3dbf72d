package embedded

import (
	"slices"
	"strings"
)

// idOrder keeps ids in order, from the first time that somebody asks for it, without paying for it at
// each new one.
type idOrder struct {
	isAsked bool
	sorted  []string
	added   []string
}

// add notes a new id.
func (o *idOrder) add(id string) {
	if o.isAsked {
		o.added = append(o.added, strings.Clone(id))
	}
}

// after are the ids greater than id, of those in all and some that were there before.
func (o *idOrder) after(id string, all func(each func(id string))) []string {
	if !o.isAsked {
		o.isAsked = true
		all(o.add)
	}
	if len(o.added) > 0 {
		o.sorted = append(o.sorted, o.added...)
		slices.Sort(o.sorted)
		o.sorted, o.added = slices.Compact(o.sorted), nil
	}
	i, found := slices.BinarySearch(o.sorted, id)
	if found {
		i++
	}
	return o.sorted[i:]
}
