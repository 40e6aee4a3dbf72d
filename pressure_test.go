package fleetline

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/wire"
)

// flood sends n messages, while it listens, and returns the times at which pongs came.
func flood(p *peer, n uint64, data string) (pongs []time.Time) {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for seq := range n {
			p.send(message(seq+1, data))
		}
		p.send(wire.Ping{})
	}()
	for {
		up := p.hear()
		if up == nil {
			<-sent
			return pongs
		}
		if _, ok := up.(wire.Pong); ok {
			pongs = append(pongs, time.Now())
		}
	}
}

func TestACallerThatStandsStillKeepsItsSessionAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, heartbeat = 1000, 10 * time.Second
		pongs := make(chan []time.Time, 1)
		g := play(t, ws(func(p *peer) {
			p.letIn(wire.Welcome{HeartbeatSeconds: heartbeat.Seconds()})
			pongs <- flood(p, n, "0")
		}))
		c := g.connect(Config{})
		start := time.Now()
		time.Sleep(10 * time.Minute)
		for want := range uint64(n) {
			if msg, err := c.Next(t.Context()); err != nil || msg.Position.Seq != want+1 {
				t.Fatalf("got %v, %v, want %d", msg.Position, err, want+1)
			}
		}
		if d := len(g.dialed()); d != 1 {
			t.Errorf("%d connections, want the one", d)
		}
		_ = c.Close()
		last := start
		for _, at := range <-pongs {
			if at.Sub(last) > heartbeat {
				t.Errorf("the gateway heard nothing for %v", at.Sub(last))
			}
			last = at
		}
		if last.Sub(start) < 9*time.Minute {
			t.Errorf("the last pong came after %v", last.Sub(start))
		}
	})
}

func TestWhatIsQueuedIsBoundedInMessagesAndBytes(t *testing.T) {
	for size, n := range map[int]int{1: 300, 100 << 10: 50, wire.MaxDown - 100: 8} {
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := play(t, ws(func(p *peer) { p.letIn(wire.Welcome{}); flood(p, uint64(n), `"`+strings.Repeat("x", size)+`"`) }))
				c := g.connect(Config{})
				time.Sleep(time.Second)
				c.inbox.mu.Lock()
				messages, bytes := len(c.inbox.queue), c.inbox.bytes
				c.inbox.mu.Unlock()
				if messages > inboxMessages || bytes > inboxBytes || messages < min(inboxMessages, inboxBytes/(size+2)) {
					t.Errorf("%d messages with %d bytes are queued", messages, bytes)
				}
				take(t, c, n)
			})
		})
	}
}

func TestAGatewayThatGoesWhileTheCallerStandsStillIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t,
			ws(func(p *peer) {
				p.letIn(wire.Welcome{})
				for seq := range uint64(inboxMessages + 1) {
					p.send(message(seq+1, "0"))
				}
			}),
			ws(func(p *peer) { p.hearAuth(); p.send(wire.MachineDeleted{Message: "gone"}) }))
		c := g.connect(Config{})
		time.Sleep(wire.Heartbeat + time.Second)
		if !errors.Is(c.Err(), ErrMachineDeleted) {
			t.Errorf("Err = %v, Status = %+v", c.Err(), c.Status())
		}
	})
}

func TestAGatewayThatIsSilentAfterACallerStoodStillIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(func(p *peer) { p.letIn(wire.Welcome{}); flood(p, inboxMessages+10, "0") }), ws(idle))
		var d diary
		c := g.connect(Config{OnStatus: d.note})
		time.Sleep(10 * time.Minute)
		take(t, c, inboxMessages+10)
		resumed := time.Now()
		time.Sleep(10 * time.Minute)
		waits := d.of(Waiting)
		if len(waits) != 1 || !errors.Is(waits[0].Reason, ErrSilent) || waits[0].at.Sub(resumed) != wire.Silence(wire.Heartbeat) {
			t.Errorf("waits: %v", waits)
		}
	})
}

func TestCloseDoesNotWaitForACallerThatStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(func(p *peer) { p.letIn(wire.Welcome{}); flood(p, 1000, "0") }))
		c := g.connect(Config{})
		time.Sleep(time.Minute)
		start := time.Now()
		_ = c.Close()
		if took := time.Since(start); took > goodbyeWithin {
			t.Errorf("Close took %v", took)
		}
	})
}
