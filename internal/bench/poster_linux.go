package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// poster posts requests over connections that stay open, one at a time on each. Whoever offers a load,
// one goroutine, writes them himself: in net/http's client goroutines wake each other before a request
// leaves, and that would count as the server's time.
type poster struct {
	// Fixed after construction.
	addr string
	room chan struct{} // holds a token for each post that waits for its answer

	waiting sync.WaitGroup // for answers
	readers sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	idle   []*lane // the last one that was used is used again first
	all    []*lane
	failed int64
	reason error // of one that failed
}

// lane is a connection. It waits for an answer unless it is idle.
type lane struct {
	net.Conn
	in *bufio.Reader
}

// maxUnanswered bounds the posts that wait for their answers. If they are as many, the next waits, and
// that time counts too.
const maxUnanswered = 2000

func newPoster(addr string) *poster {
	return &poster{addr: addr, room: make(chan struct{}, maxUnanswered)}
}

// post sends a request over a lane that is idle, or over a new one.
func (p *poster) post(request []byte) {
	p.room <- struct{}{} // given back with the answer, which has a limit
	p.waiting.Add(1)
	l, err := p.take()
	if err != nil {
		p.answered(err)
		return
	}
	if _, err := l.Write(request); err != nil {
		_ = l.Close() // its reader answers
	}
}

func (p *poster) take() (*lane, error) {
	if l := p.takeIdle(); l != nil {
		return l, nil
	}
	c, err := net.Dial("tcp4", p.addr)
	if err != nil {
		return nil, err
	}
	l := &lane{c, bufio.NewReader(c)}
	p.mu.Lock()
	p.all = append(p.all, l)
	p.mu.Unlock()
	p.readers.Go(func() { p.read(l) }) // until close
	return l, nil
}

func (p *poster) takeIdle() *lane {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	l := p.idle[last]
	p.idle = p.idle[:last]
	return l
}

// read takes the answers of a lane.
func (p *poster) read(l *lane) {
	for {
		answer, err := http.ReadResponse(l.in, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, answer.Body)
		}
		if err != nil {
			p.lose(l, err)
			return
		}
		if answer.StatusCode/100 != 2 {
			err = fmt.Errorf("the server answered %s", answer.Status)
		}
		p.mu.Lock()
		p.idle = append(p.idle, l)
		p.mu.Unlock()
		p.answered(err)
	}
}

// lose takes a lane out that has ended.
func (p *poster) lose(l *lane, err error) {
	p.mu.Lock()
	kept := slices.DeleteFunc(p.idle, func(x *lane) bool { return x == l })
	wasIdle := len(kept) < len(p.idle)
	p.idle = kept
	p.mu.Unlock()
	if !wasIdle {
		p.answered(err)
	}
}

func (p *poster) answered(err error) {
	p.mu.Lock()
	if err != nil {
		p.failed++
		p.reason = err
	}
	p.mu.Unlock()
	<-p.room
	p.waiting.Done()
}

// settle waits for the answers, no longer than ctx, and tells how many posts since the last time were
// not taken, and why one was not.
func (p *poster) settle(ctx context.Context) (failed int64, reason error) {
	p.limit(time.Now().Add(stepWithin))
	cut := context.AfterFunc(ctx, func() { p.limit(time.Unix(1, 0)) })
	p.waiting.Wait()
	if cut() {
		p.limit(time.Time{})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	failed, reason = p.failed, p.reason
	p.failed, p.reason = 0, nil
	return failed, reason
}

// close ends the lanes. Nobody may post any more.
func (p *poster) close() {
	p.limit(time.Unix(1, 0))
	p.readers.Wait()
	for _, l := range p.all {
		_ = l.Close()
	}
}

// limit ends the reading at a time.
func (p *poster) limit(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.all {
		_ = l.SetReadDeadline(at) // fails only for one that is closed
	}
}
