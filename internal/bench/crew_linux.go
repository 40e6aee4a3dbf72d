package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// crew are the workers of one scenario.
type crew struct {
	hands []*hand
	// turned holds a token when a turn has ended; deleted brings goodbyes.
	turned  chan struct{}
	deleted chan answer
}

// hand is one worker process.
type hand struct {
	command *exec.Cmd
	in      io.WriteCloser
	done    chan struct{} // closed when its last answer has been read

	mu sync.Mutex
	// Guarded by mu.
	waiting map[int]chan answer // nil after the end
	lastID  int
	turns   int64
	turnAt  int64
}

// deletedRoom is more goodbyes than any scenario lets come unread.
const deletedRoom = 16384

// startCrew starts n workers; stop ends them.
func startCrew(program string, n int) (*crew, error) {
	c := &crew{turned: make(chan struct{}, 1), deleted: make(chan answer, deletedRoom)}
	for range n {
		h, err := c.hire(program)
		if err != nil {
			c.stop()
			return nil, fmt.Errorf("starting a worker: %w", err)
		}
		c.hands = append(c.hands, h)
	}
	return c, nil
}

func (c *crew) hire(program string) (*hand, error) {
	h := &hand{command: exec.Command(program, WorkerCommand), done: make(chan struct{}), waiting: map[int]chan answer{}}
	// One loop needs one processor; with more, the runtime would look for work that is not there.
	h.command.Env, h.command.Stderr = append(plainEnv(), "GOMAXPROCS=1"), os.Stderr
	h.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if h.in, err = h.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := h.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.command.Start(); err != nil {
		return nil, err
	}
	go c.listen(h, out) // ends with the worker's output
	return h, nil
}

// listen hands answers to whoever waits for them.
func (c *crew) listen(h *hand, out io.Reader) {
	defer close(h.done)
	defer h.forgetAll()
	lines := json.NewDecoder(bufio.NewReaderSize(out, 64<<10))
	for {
		var a answer
		if lines.Decode(&a) != nil {
			return
		}
		switch a.Event {
		case eventTurn:
			h.mu.Lock()
			h.turns, h.turnAt = a.Turn, a.At
			h.mu.Unlock()
			select {
			case c.turned <- struct{}{}:
			default: // whoever wakes up looks at all
			}
		case eventDeleted:
			select {
			case c.deleted <- a:
			default: // nobody asked for it
			}
		default:
			h.hand(a)
		}
	}
}

func (h *hand) hand(a answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w := h.waiting[a.ID]; w != nil {
		w <- a
		delete(h.waiting, a.ID)
	}
}

func (h *hand) forgetAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.waiting {
		close(w)
	}
	h.waiting = nil
}

var errWorkerEnded = errors.New("a worker has ended")

// tell sends an order; the channel brings its answer, or is closed if the worker ends.
func (h *hand) tell(o order) (<-chan answer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting == nil {
		return nil, errWorkerEnded
	}
	h.lastID++
	o.ID = h.lastID
	line, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	w := make(chan answer, 1)
	h.waiting[o.ID] = w
	if _, err := h.in.Write(append(line, '\n')); err != nil {
		return nil, fmt.Errorf("%w: %w", errWorkerEnded, err)
	}
	return w, nil
}

// order tells every worker the same and waits for all.
func (c *crew) order(ctx context.Context, o order) ([]answer, error) {
	return c.each(ctx, func(int) order { return o })
}

// each tells every worker its own order and waits for all.
func (c *crew) each(ctx context.Context, orderOf func(worker int) order) ([]answer, error) {
	waiting := make([]<-chan answer, len(c.hands))
	for i, h := range c.hands {
		var err error
		if waiting[i], err = h.tell(orderOf(i)); err != nil {
			return nil, err
		}
	}
	answers := make([]answer, len(c.hands))
	for i, w := range waiting {
		select {
		case a, alive := <-w:
			if !alive {
				return nil, errWorkerEnded
			}
			if a.Error != "" {
				return nil, errors.New(a.Error)
			}
			answers[i] = a
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return answers, nil
}

// completed is how many rounds have reached every machine since the last doWatch, and when the last
// worker saw the end of the last one.
func (c *crew) completed() (turns, at int64) {
	for i, h := range c.hands {
		h.mu.Lock()
		if i == 0 || h.turns < turns {
			turns = h.turns
		}
		at = max(at, h.turnAt)
		h.mu.Unlock()
	}
	return turns, at
}

// watch lets all workers count from zero, in the way that o says, and returns how many machines
// listen. Nothing may be on its way to them.
func (c *crew) watch(ctx context.Context, o order) (listeners int, err error) {
	o.Do = doWatch
	answers, err := c.order(ctx, o)
	for i, h := range c.hands {
		h.mu.Lock()
		h.turns, h.turnAt = 0, 0
		h.mu.Unlock()
		if err == nil {
			listeners += answers[i].Live
		}
	}
	return listeners, err
}

// counted adds up what the workers have counted.
func (c *crew) counted(ctx context.Context) (answer, error) {
	answers, err := c.order(ctx, order{Do: doCount})
	return sum(answers), err
}

func sum(answers []answer) answer {
	total := answer{Failed: map[string]int{}, Ended: map[string]int{}, Took: &histogram{}, Late: &histogram{}, Delivery: &histogram{}}
	for _, a := range answers {
		total.At = max(total.At, a.At)
		total.Live += a.Live
		total.Data += a.Data
		total.Pongs += a.Pongs
		total.LongestWaitMs = max(total.LongestWaitMs, a.LongestWaitMs)
		for why, n := range a.Failed {
			total.Failed[why] += n
		}
		for why, n := range a.Ended {
			total.Ended[why] += n
		}
		for _, h := range []struct{ to, from *histogram }{{total.Took, a.Took}, {total.Late, a.Late}, {total.Delivery, a.Delivery}} {
			if h.from != nil {
				h.to.merge(h.from)
			}
		}
	}
	return total
}

// cpu is the CPU time that the workers have used so far.
func (c *crew) cpu() (total time.Duration) {
	for _, h := range c.hands {
		if used, err := useOf(h.command.Process.Pid); err == nil { // else its next answer is missing
			total += used.cpu
		}
	}
	return total
}

// stop ends the workers and waits for them.
func (c *crew) stop() {
	for _, h := range c.hands {
		_ = h.in.Close()
	}
	for _, h := range c.hands {
		select {
		case <-h.done:
		case <-time.After(stopWithin):
			_ = h.command.Process.Kill()
			<-h.done
		}
		_ = h.command.Wait()
	}
}
