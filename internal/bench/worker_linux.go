package bench

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/fleetline/fleetline/internal/ring"
	"golang.org/x/sys/unix"
)

// worker holds many machines in one loop. Everything but the reading of orders happens in the
// goroutine that runs it.
type worker struct {
	// Fixed after construction.
	loop   *loop
	orders <-chan order
	out    *bufio.Writer
	buf    []byte // what is being read, of any machine
	sips   sips

	server   destination
	machines []*machine
	live     int
	attempt  *attempt

	// Counted since the last doWatch.
	counted   int64 // messages
	turnAt    int64 // the count that ends the turn
	turns     int64
	listeners int64
	timed     bool
	delivery  histogram
	pongs     int64

	// Counted since the start.
	unsent      int64
	ended       map[string]int
	longestWait int64 // milliseconds; since the last attempt
}

// destination is where the machines connect to.
type destination struct {
	addr    unix.SockaddrInet4
	request []byte
	dialect dialect
	sources int
	worker  int
	workers int
}

// handshakeKey is the same for all: its answer is not looked at beyond its status.
const handshakeKey = "ZmxlZXRsaW5lLWJlbmNoIQ=="

// readSize holds the largest frame that any scenario publishes, and many small ones.
const readSize = 256 << 10

// Work takes orders from in and answers to out until in ends.
func Work(in io.Reader, out io.Writer) error {
	l, err := newLoop()
	if err != nil {
		return err
	}
	orders := make(chan order, 1)
	w := newWorker(out)
	w.loop, w.orders = l, orders
	w.sips.ring, _ = ring.New() // without it machines read one by one
	go func() {                 // ends with its input
		defer l.wake()
		defer close(orders)
		lines := json.NewDecoder(in)
		for {
			var o order
			if lines.Decode(&o) != nil {
				return
			}
			orders <- o
			l.wake()
		}
	}()
	err = w.run()
	for _, m := range w.machines {
		w.drop(m)
	}
	if w.sips.ring != nil {
		w.sips.ring.Close()
	}
	return errors.Join(err, l.close())
}

func newWorker(out io.Writer) *worker {
	return &worker{out: bufio.NewWriter(out), buf: make([]byte, readSize), attempt: &attempt{}, ended: map[string]int{}}
}

func (w *worker) run() error {
	for {
		var until time.Time
		if w.attempt.id != 0 {
			until = time.Now().Add(glance)
		}
		events, err := w.loop.wait(until)
		if err != nil {
			return err
		}
		for _, e := range events {
			if e.Pad == wakeSlot {
				w.sipAll() // before machines are dropped
				if ended, err := w.obey(); ended || err != nil {
					return err
				}
				continue
			}
			if m := w.machines[e.Pad]; canSip(m, e.Events) {
				w.sip(m)
			} else {
				w.happened(m, e.Events)
			}
		}
		w.sipAll()
		if w.attempt.id != 0 {
			w.connectOn()
		}
		if err := w.out.Flush(); err != nil {
			return nil // the run has gone
		}
	}
}

// connectOn goes on with an attempt, or answers for it.
func (w *worker) connectOn() {
	a := w.attempt
	if !a.isOver() {
		w.advance()
		return
	}
	w.tell(answer{
		ID: a.id, At: now(), Live: w.live, Failed: a.failures, Took: &a.took, Late: &a.late, LongestWaitMs: w.longestWait,
	})
	w.longestWait = 0
	a.id = 0 // those still on their way may arrive
	a.queue, a.waiting = nil, nil
}

// obey takes the orders that have come; ended tells that no more will.
func (w *worker) obey() (ended bool, err error) {
	var count [8]byte
	_, _ = unix.Read(w.loop.wakeFD, count[:]) // only so that the next wake is seen
	for {
		select {
		case o, more := <-w.orders:
			if !more {
				return true, nil
			}
			if err := w.do(o); err != nil {
				w.tell(answer{ID: o.ID, Error: err.Error()})
			}
		default:
			return false, nil
		}
	}
}

func (w *worker) do(o order) error {
	a := answer{ID: o.ID}
	switch o.Do {
	case doEnlist:
		if err := w.enlist(o); err != nil {
			return err
		}
	case doConnect:
		if w.attempt.id != 0 || o.Connect == nil {
			return errors.New("connecting: another attempt goes on, or it is not said how")
		}
		w.attempt = newAttempt(o.ID, *o.Connect, w.span(o))
		return nil // the answer comes when it is over
	case doWatch:
		w.watch(o)
		a.Live = int(w.listeners)
	case doCount:
		a = w.count(o.ID)
	case doStall:
		for _, m := range w.span(o) {
			m.stalled = m.stage == live
		}
	case doRest:
		if err := w.loop.rest(); err != nil {
			return err
		}
	case doDrop:
		for _, m := range w.span(o) {
			w.drop(m)
		}
	case doIDs:
		for _, m := range w.span(o) {
			a.IDs = append(a.IDs, m.id)
		}
	default:
		return fmt.Errorf("%q is no order", o.Do)
	}
	w.tell(a)
	return nil
}

// enlist takes on the machines up to o.To that are this worker's and that it does not have yet.
func (w *worker) enlist(o order) error {
	e := o.Enlist
	if e == nil || e.Workers < 1 || e.Sources < 1 {
		return errors.New("enlisting machines: it is not said how")
	}
	to, err := netip.ParseAddrPort(e.Addr)
	if err != nil || !to.Addr().Is4() || !to.Addr().IsLoopback() {
		return fmt.Errorf("enlisting machines: %q is no loopback address", e.Addr)
	}
	d, err := dialectOf(e.Dialect)
	if err != nil {
		return err
	}
	w.server = destination{
		addr:    unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()},
		dialect: d, sources: e.Sources, worker: e.Worker, workers: e.Workers,
		request: []byte("GET " + d.path + " HTTP/1.1\r\nHost: " + e.Addr + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Key: " + handshakeKey + "\r\nSec-WebSocket-Version: 13\r\n\r\n"),
	}
	// A machine's slot follows from its number, so spans come one behind the other.
	for {
		number := e.Worker + len(w.machines)*e.Workers
		if number >= o.To {
			return nil
		}
		w.machines = append(w.machines, &machine{number: number, key: e.Key})
	}
}

// source spreads machines over addresses: one address may have so many waiting at a gateway and so
// many ports.
func (d *destination) source(number int) [4]byte {
	n := 2 + number%d.sources // 127.0.0.1 is the operators'
	return [4]byte{127, 0, byte(n >> 8), byte(n)}
}

func (w *worker) span(o order) []*machine {
	var found []*machine
	for _, m := range w.machines {
		if m.number >= o.From && m.number < o.To {
			found = append(found, m)
		}
	}
	return found
}

func (w *worker) watch(o order) {
	w.listeners = 0
	for _, m := range w.machines {
		if m.stage == live && !m.stalled {
			w.listeners++
		}
	}
	w.counted, w.turns, w.turnAt = 0, 0, w.listeners
	w.pongs, w.timed, w.delivery = 0, o.Timed, histogram{}
}

func (w *worker) count(id int) answer {
	a := answer{ID: id, At: now(), Live: w.live, Data: w.counted, Pongs: w.pongs, Ended: w.ended, Delivery: &w.delivery}
	if w.unsent > 0 {
		a.Failed = map[string]int{"frames the server did not take": int(w.unsent)}
	}
	return a
}

// data counts the messages of one frame.
func (w *worker) data(text []byte) {
	if w.timed {
		if sent := numberOf(text, stampField); sent > 0 {
			w.delivery.record(since(sent))
		}
	}
	for range w.server.dialect.messages(text) {
		w.counted++
		if w.counted == w.turnAt {
			w.turns++
			w.turnAt += w.listeners
			w.tell(answer{Event: eventTurn, Turn: w.turns, At: now()})
		}
	}
}

// tell writes a line; the loop flushes it when it has looked at everything.
func (w *worker) tell(a answer) {
	line, err := json.Marshal(a)
	if err != nil {
		line, _ = json.Marshal(answer{ID: a.ID, Error: err.Error()})
	}
	_, _ = w.out.Write(append(line, '\n')) // the next flush finds out
}
