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
	at    map[C]int // where it stands in conns
	byID  map[string]C
}

// backlog is how many messages to all may wait.
const backlog = 256

func newHub[F any, C conn[F]](ping F, heartbeat time.Duration) *hub[F, C] {
	h := &hub[F, C]{seed: maphash.MakeSeed(), ping: ping}
	for range runtime.GOMAXPROCS(0) {
		p := &part[F, C]{work: make(chan F, backlog), at: map[C]int{}, byID: map[string]C{}}
		h.parts = append(h.parts, p)
		go p.writeAll() // ends with the process
	}
	go h.beat(heartbeat) // ends with the process
	return h
}

func (h *hub[F, C]) partOf(id string) *part[F, C] {
	return h.parts[maphash.String(h.seed, id)%uint64(len(h.parts))]
}

func (h *hub[F, C]) enter(id string, c C) {
	p := h.partOf(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at[c] = len(p.conns)
	p.conns = append(p.conns, c)
	p.byID[id] = c
}

func (h *hub[F, C]) leave(id string, c C) {
	p := h.partOf(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.conns) - 1
	i := p.at[c]
	p.conns[i] = p.conns[last]
	p.at[p.conns[i]] = i
	var none C
	p.conns[last] = none
	p.conns = p.conns[:last]
	delete(p.at, c)
	if p.byID[id] == c {
		delete(p.byID, id)
	}
}

func (h *hub[F, C]) all(f F) {
	for _, p := range h.parts {
		p.work <- f
	}
}

func (h *hub[F, C]) one(id string, f F) {
	p := h.partOf(id)
	p.mu.RLock()
	c, found := p.byID[id]
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
