package socket

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetline/fleetline/internal/socket/frame"
	"golang.org/x/sys/unix"
)

// Epoll is the engine over raw descriptors, for Linux. A connection costs one record without
// pointers and nothing else while it is idle: there is one goroutine and one read buffer for each
// core, and what a busy connection needs lies in a side map as long as it is busy.
//
// Whoever sends writes directly, under the record's lock, and never blocks; what the kernel does not
// take is refused, but for the rest of a frame that was begun. Only a loop closes a descriptor. Where
// the system has io_uring, frames for many are written with one system call.
//
// Connections that are not plain TCP, which means TLS in this process, are held by a portable engine
// inside.
type Epoll struct {
	// Fixed after construction.
	cfg      Config
	handler  Handler
	rules    frame.Rules
	counters *counters
	portable *Portable
	loops    []*loop
	keeper   *keeper
	looping  sync.WaitGroup
	gathers  sync.Pool // of *gather
	volleys  volleys
	shortage shortage

	records records
	queued  atomic.Int64 // bytes of frames that were begun and are not taken yet

	live sync.WaitGroup // the connections

	mu sync.Mutex
	// Guarded by mu.
	closed bool
}

var (
	_ Engine   = (*Epoll)(nil)
	_ Upgrader = (*Epoll)(nil)
	_ Receiver = (*Epoll)(nil)
	_ Volley   = (*Epoll)(nil)
)

// NewEpoll makes an epoll engine. Close must be called when it is no longer needed.
func NewEpoll(cfg Config) (*Epoll, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("configuring epoll engine: %w", err)
	}
	e := &Epoll{cfg: cfg, handler: cfg.Handler, rules: cfg.rules()}
	e.shortage.log = cfg.Logger
	e.gathers.New = func() any { return new(gather) }
	e.volleys.log = cfg.Logger
	e.portable = newPortable(cfg, portableSlots)
	e.counters = newCounters(func() int { return e.records.len() + e.portable.conns.len() })
	e.portable.counters = e.counters
	if err := e.openLoops(); err != nil {
		return nil, fmt.Errorf("opening epoll engine: %w", err)
	}
	if err := e.counters.register(cfg.Registerer); err != nil {
		e.closeLoops()
		return nil, fmt.Errorf("registering metrics of epoll engine: %w", err)
	}
	if !cfg.OneByOne {
		e.volleys.open(len(e.loops))
	}
	e.start()
	return e, nil
}

// portableSlots is where the slots of the portable engine inside begin.
const portableSlots = 1 << 31

func (e *Epoll) openLoops() error {
	for range runtime.GOMAXPROCS(0) {
		lp, err := newLoop(e)
		if err != nil {
			e.closeLoops()
			return err
		}
		e.loops = append(e.loops, lp)
	}
	return nil
}

func (e *Epoll) closeLoops() {
	for _, lp := range e.loops {
		lp.close()
	}
}

func (e *Epoll) start() {
	e.keeper = newKeeper(e)
	e.looping.Go(e.keeper.run) // ends with keeper.stop
	for _, lp := range e.loops {
		e.looping.Go(lp.run) // ends with loop.stop
	}
}

// Upgrade implements Upgrader. It calls Opened itself, and Frame for what came with the handshake.
func (e *Epoll) Upgrade(w http.ResponseWriter, r *http.Request, peer Peer) error {
	if e.isClosed() {
		return refuse(w, goingAway())
	}
	t, err := takeOver(w, r, e.cfg.Subprotocols)
	if err != nil {
		return err
	}
	fd, err := detach(t.conn)
	switch {
	case errors.Is(err, errNotRaw):
		return e.portable.welcome(t, peer)
	case err != nil:
		e.shortage.tell(err)
		return fmt.Errorf("taking over connection: %w", err)
	}
	return e.welcome(fd, t.answer, t.early, peer)
}

// welcome answers the handshake and adopts the descriptor, which is closed if that fails.
func (e *Epoll) welcome(fd int, answer, early []byte, peer Peer) error {
	if n, err := send(fd, answer); err != nil || n < len(answer) {
		_ = unix.Close(fd)
		return fmt.Errorf("answering handshake: %d bytes written: %w", n, err)
	}
	return e.adopt(fd, early, peer)
}

// adopt takes over a descriptor whose handshake is done, and closes it on an error.
func (e *Epoll) adopt(fd int, early []byte, peer Peer) error {
	l, err := e.enter(fd)
	if err != nil {
		_ = unix.Close(fd)
		return err
	}
	e.handler.Opened(l.id, peer)
	// Until the loop knows the descriptor, this goroutine is the one that reads.
	var parser frame.Parser
	if !l.take(&parser, early) && l.mute() {
		return nil
	}
	if err := l.watch(); err != nil {
		l.finish(Closure{Code: frame.CodeAbnormal, Local: true})
		return fmt.Errorf("watching connection: %w", err)
	}
	return nil
}

// enter gives the descriptor a record.
func (e *Epoll) enter(fd int) (line, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return line{}, ErrClosed
	}
	e.live.Add(1)
	id := e.records.add(fd, time.Now().UnixNano())
	return e.line(id), nil
}

func (e *Epoll) line(id ID) line { return line{e, id, e.records.at(id.Slot())} }

// lock locks the record of an open connection; ok is false, and nothing locked, if id is gone.
func (e *Epoll) lock(id ID) (l line, ok bool) {
	l = e.line(id)
	if l.rec == nil {
		return l, false
	}
	l.rec.mu.Lock()
	if !l.isHereLocked() {
		l.rec.mu.Unlock()
		return l, false
	}
	return l, true
}

// Send implements Engine.
func (e *Epoll) Send(id ID, p Prepared) bool {
	if id.Slot() >= portableSlots {
		return e.portable.Send(id, p)
	}
	l, ok := e.lock(id)
	if !ok {
		return false
	}
	defer l.rec.mu.Unlock()
	return l.sendLocked(p)
}

// SendMany implements Engine.
func (e *Epoll) SendMany(id ID, p []Prepared) int {
	if id.Slot() >= portableSlots {
		return e.portable.SendMany(id, p)
	}
	l, ok := e.lock(id)
	if !ok {
		return 0
	}
	defer l.rec.mu.Unlock()
	return l.sendManyLocked(p)
}

// End implements Engine.
func (e *Epoll) End(id ID, last Prepared, code uint16, reason string) {
	if id.Slot() >= portableSlots {
		e.portable.End(id, last, code, reason)
		return
	}
	l, ok := e.lock(id)
	if !ok {
		return
	}
	defer l.rec.mu.Unlock()
	l.leaveLocked(ending, last, Closure{Code: code, Reason: reason, Local: true})
}

// LastByte implements Engine. It is the zero time if id is gone.
func (e *Epoll) LastByte(id ID) time.Time {
	if id.Slot() >= portableSlots {
		return e.portable.LastByte(id)
	}
	l, ok := e.lock(id)
	if !ok {
		return time.Time{}
	}
	defer l.rec.mu.Unlock()
	return time.Unix(0, l.rec.lastByte)
}

// Close implements Engine. It must not be called by the handler.
func (e *Epoll) Close() {
	if !e.shut() {
		return
	}
	for _, id := range e.records.all() {
		if l, ok := e.lock(id); ok {
			l.abortLocked(Closure{Code: frame.CodeAbnormal, Local: true})
			l.rec.mu.Unlock()
		}
	}
	e.portable.Close()
	e.live.Wait()
	e.keeper.stop()
	for _, lp := range e.loops {
		lp.stop()
	}
	e.looping.Wait()
	e.closeLoops()
	e.volleys.close()
	e.counters.unregister(e.cfg.Registerer)
}

// shut refuses what comes from now on, and tells whether it is the first to do so.
func (e *Epoll) shut() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	first := !e.closed
	e.closed = true
	return first
}

func (e *Epoll) isClosed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}
