package fleetline

import (
	"sync"

	"github.com/fleetline/fleetline/wire"
)

// Bounds of what is received but not yet taken by the caller. One message is always let in.
const (
	inboxMessages = 256
	inboxBytes    = 4 << 20
)

// item is one thing that the caller is given in order: a message or, if gap is set, a gap.
type item struct {
	msg Message
	gap *Gap
	// upTo is where the machine stands once the caller is done with the item.
	upTo Position
}

// inbox lies between the gateway and the caller. It has two positions: received, from which a new
// session goes on, and processed, which only the caller moves and which outlives the process.
type inbox struct {
	// Told, never filled twice: the other side looks again when it wakes.
	ready chan struct{} // something to take
	room  chan struct{} // something was taken
	moved chan struct{} // processed is not what it was

	mu        sync.Mutex
	queue     []item
	bytes     int
	holding   bool     // the caller has an item and has not asked for the next
	held      Position // upTo of that item
	received  Position
	processed Position
}

func newInbox(at Position) *inbox {
	return &inbox{
		ready: make(chan struct{}, 1), room: make(chan struct{}, 1), moved: make(chan struct{}, 1),
		received: at, processed: at,
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// welcome takes a session's starting point. asked is the position that was sent with auth.
func (b *inbox) welcome(w wire.Welcome, asked Position) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := Position{Epoch: w.Epoch, Seq: w.Seq}
	switch {
	case asked.IsZero():
		b.reachLocked(at)
	case !w.Recovered:
		b.gapLocked(at)
	case asked.Epoch != at.Epoch:
		b.reachLocked(at)
	}
}

// put lets a message in and tells whether that is settled: false means that there is no room. A
// message that came before is dropped here, so nothing is delivered twice.
func (b *inbox) put(d wire.Data) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	stored := d.Seq != 0 && !b.received.IsZero()
	if stored && d.Seq <= b.received.Seq {
		return true
	}
	if len(b.queue) > 0 && (len(b.queue) >= inboxMessages || b.bytes+len(d.Data) > inboxBytes) {
		return false
	}
	msg := Message{ID: d.ID, Data: d.Data}
	if stored {
		b.received.Seq = d.Seq
		msg.Position = b.received
	}
	b.pushLocked(item{msg: msg, upTo: b.received})
	return true
}

// gap notes that everything up to seq is gone.
func (b *inbox) gap(seq uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if seq > b.received.Seq && !b.received.IsZero() {
		b.gapLocked(Position{Epoch: b.received.Epoch, Seq: seq})
	}
}

// rewind goes back to at. What was queued will come again.
func (b *inbox) rewind(at Position) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue, b.bytes = nil, 0
	b.received, b.held = at, at
	b.processedLocked(at)
	wake(b.room)
}

// reach notes that everything up to seq has come in.
func (b *inbox) reach(seq uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if seq > b.received.Seq && !b.received.IsZero() {
		b.reachLocked(Position{Epoch: b.received.Epoch, Seq: seq})
	}
}

// gapLocked merges neighbours, so a caller that stands still makes no heap of them.
func (b *inbox) gapLocked(until Position) {
	after := b.received
	b.received = until
	if n := len(b.queue); n > 0 && b.queue[n-1].gap != nil {
		b.queue[n-1].gap.Until, b.queue[n-1].upTo = until, until
		return
	}
	b.pushLocked(item{gap: &Gap{After: after, Until: until}, upTo: until})
}

// reachLocked moves received and, behind what the caller has yet to process, processed.
func (b *inbox) reachLocked(at Position) {
	b.received = at
	switch n := len(b.queue); {
	case n > 0:
		b.queue[n-1].upTo = at
	case b.holding:
		b.held = at
	default:
		b.processedLocked(at)
	}
}

func (b *inbox) pushLocked(it item) {
	b.queue = append(b.queue, it)
	b.bytes += len(it.msg.Data)
	wake(b.ready)
}

func (b *inbox) processedLocked(at Position) {
	if at != b.processed {
		b.processed = at
		wake(b.moved)
	}
}

// done says that the caller has processed what it took last.
func (b *inbox) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.holding {
		b.holding = false
		b.processedLocked(b.held)
	}
}

// take hands the oldest item to the caller.
func (b *inbox) take() (item, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		return item{}, false
	}
	it := b.queue[0]
	b.queue[0] = item{} // the array behind the queue must not keep the data
	b.queue = b.queue[1:]
	b.bytes -= len(it.msg.Data)
	b.holding, b.held = true, it.upTo
	wake(b.room)
	return it, true
}

// positions are where the gateway and the caller have got to.
func (b *inbox) positions() (received, processed Position) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.received, b.processed
}
