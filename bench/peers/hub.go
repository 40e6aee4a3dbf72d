package main

import (
	"hash/maphash"
	"runtime"
	"sync"
	"time"
)

// conn is a connection of one of the libraries; F is a frame as the library prepares it.
type conn[F any] interface {
	comparable
	send(F)
}

// hub is what a careful user of such a library writes: connections in as many parts as there are
// processors, each with a goroutine that writes messages to all of it in order, and one ticker for
// everybody's pings.
type hub[F any, C conn[F]] struct {
	parts []*part[F, C]
	seed  maphash.Seed
	ping  F
}

type part[F any, C conn[F]] struct {
	work chan F // messages to all of the part

	mu    sync.RWMutex
	conns []C
	byID  map[string]int // where it stands in conns
	ids   []string       // of conns
}

// backlog is how many messages to all may wait.
const backlog = 256

func newHub[F any, C conn[F]](ping F, heartbeat time.Duration) *hub[F, C] {
	h := &hub[F, C]{seed: maphash.MakeSeed(), ping: ping}
	for range runtime.GOMAXPROCS(0) {
		p := &part[F, C]{work: make(chan F, backlog), byID: map[string]int{}}
		h.parts = append(h.parts, p)
		go p.writeAll() // ends with the process
	}
	go h.beat(heartbeat) // ends with the process
	return h
}

func (h *hub[F, C]) partOf(id string) *part[F, C] {
	return h.parts[maphash.String(h.seed, id)%uint64(len(h.parts))]
}

// enter takes the place of an older connection with the same id.
func (h *hub[F, C]) enter(id string, c C) {
	p := h.partOf(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	if i, found := p.byID[id]; found {
		p.conns[i] = c
		return
	}
	p.byID[id] = len(p.conns)
	p.conns, p.ids = append(p.conns, c), append(p.ids, id)
}

func (h *hub[F, C]) leave(id string, c C) {
	p := h.partOf(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	i, found := p.byID[id]
	if !found || p.conns[i] != c {
		return
	}
	last := len(p.conns) - 1
	p.conns[i], p.ids[i] = p.conns[last], p.ids[last]
	p.byID[p.ids[i]] = i
	delete(p.byID, id)
	var none C
	p.conns[last], p.ids[last] = none, ""
	p.conns, p.ids = p.conns[:last], p.ids[:last]
}

func (h *hub[F, C]) all(f F) {
	for _, p := range h.parts {
		p.work <- f
	}
}

func (h *hub[F, C]) one(id string, f F) {
	p := h.partOf(id)
	p.mu.RLock()
	i, found := p.byID[id]
	var c C
	if found {
		c = p.conns[i]
	}
	p.mu.RUnlock()
	if found {
		c.send(f)
	}
}

func (h *hub[F, C]) live() (n int) {
	for _, p := range h.parts {
		p.mu.RLock()
		n += len(p.conns)
		p.mu.RUnlock()
	}
	return n
}

func (p *part[F, C]) writeAll() {
	for f := range p.work {
		p.mu.RLock()
		for _, c := range p.conns {
			c.send(f)
		}
		p.mu.RUnlock()
	}
}

// beat pings everybody once a heartbeat, a share of them at a time.
func (h *hub[F, C]) beat(heartbeat time.Duration) {
	const step = 100 * time.Millisecond
	shares := max(1, int(heartbeat/step))
	tick := time.NewTicker(step)
	defer tick.Stop()
	for turn := 0; ; turn = (turn + 1) % shares {
		<-tick.C
		for _, p := range h.parts {
			p.mu.RLock()
			n := len(p.conns)
			for _, c := range p.conns[n*turn/shares : n*(turn+1)/shares] {
				c.send(h.ping)
			}
			p.mu.RUnlock()
		}
	}
}
