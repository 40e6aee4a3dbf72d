package fleetline

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/fleetline/fleetline/wire"
)

// met is what a gateway was told, attempt by attempt.
type met struct {
	key, machine string
	at           Position
}

// meet lets a machine in, hands it messages and lets it go, or keeps it after the last attempt.
func meet(told chan<- met, stay bool, w wire.Welcome, messages ...wire.Down) func(p *peer) {
	return func(p *peer) {
		a := p.letIn(w)
		told <- met{a.APIKey, a.MachineID, position(a)}
		p.send(messages...)
		if stay {
			p.stay()
		}
	}
}

func TestWhatSomebodyElseStoredIsTakenUpAtTheNextAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan met, 2)
		g := play(t, ws(func(p *peer) {
			meet(told, false, wire.Welcome{Seq: 10})(p)
		}), ws(meet(told, true, wire.Welcome{Seq: 10, Recovered: true})))
		state := new(MemoryState)
		_ = state.Save(State{APIKey: "flk_first", HWID: "hw"})
		changed := false
		c, err := Connect(t.Context(), "ws://gateway.test", Config{State: state, DialContext: g.listener.dial, OnStatus: func(s Status) {
			if s.Phase == Waiting && !changed {
				changed = true
				_ = state.Save(State{APIKey: "flk_second", HWID: "hw", MachineID: "mch_9", Position: Position{"e1", 10}})
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if first, second := <-told, <-told; first.key != "flk_first" || second.key != "flk_second" || second.machine != "mch_9" {
			t.Errorf("came as %+v, then as %+v", first, second)
		}
	})
}

func TestAPositionThatSomebodyElseStoredIsGoneBackToAndNeverForwardTo(t *testing.T) {
	for name, c := range map[string]struct{ stored, want uint64 }{"smaller": {5, 5}, "larger": {99, 12}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := make(chan met, 2)
				leave := make(chan struct{})
				g := play(t, ws(func(p *peer) {
					meet(told, false, wire.Welcome{Seq: 10}, message(12, "12"))(p)
					<-leave
				}), ws(meet(told, true, wire.Welcome{Seq: c.want, Recovered: true}, message(c.want+1, `"next"`))))
				state := new(MemoryState)
				client := g.connect(Config{State: state})
				if got := take(t, client, 1); !slices.Equal(got, []string{"12"}) {
					t.Fatalf("got %v", got)
				}
				client.Ack()
				synctest.Wait()
				sleep(t.Context(), 2*saveEvery) // the position is stored
				s, _ := state.Load()
				if s.Position.Seq != 12 {
					t.Fatalf("stored is %v", s.Position)
				}
				s.Position.Seq = c.stored
				_ = state.Save(s)
				close(leave)
				if got := take(t, client, 1); !slices.Equal(got, []string{`"next"`}) {
					t.Errorf("got %v", got)
				}
				if first, second := <-told, <-told; first.at != (Position{}) || second.at.Seq != c.want {
					t.Errorf("asked for what follows %v, then %d, want %d", first.at, second.at.Seq, c.want)
				}
			})
		})
	}
}

func TestAStoreThatIsEmptiedTakesNothingAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan met, 2)
		g := play(t, ws(meet(told, false, wire.Welcome{Seq: 10})), ws(meet(told, true, wire.Welcome{Seq: 10, Recovered: true})))
		state := new(MemoryState)
		_ = state.Save(State{APIKey: "flk_key", HWID: "hw"})
		c, err := Connect(t.Context(), "ws://gateway.test", Config{State: state, DialContext: g.listener.dial, OnStatus: func(s Status) {
			if s.Phase == Waiting {
				_ = state.Save(State{})
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if first, second := <-told, <-told; second.machine != "mch_1" || first.machine != "" {
			t.Errorf("came as %+v, then as %+v", first, second)
		}
	})
}

func TestADeletionThatAnotherProcessWasToldEndsThisOneToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(func(p *peer) { p.letIn(wire.Welcome{Seq: 10}) }))
		state := new(MemoryState)
		c := g.connect(Config{State: state, OnStatus: func(s Status) {
			if s.Phase == Waiting {
				_ = state.Save(State{HWID: "hw", DeletedWith: digest("flk_key")})
			}
		}})
		if _, err := c.Next(t.Context()); err == nil || c.Status().Phase != Ended {
			t.Errorf("it goes on: %v", c.Status())
		}
	})
}

func TestHeartbeatsAreHeardOfOnceTheyAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answered := make(chan wire.Up, 3)
		g := play(t, ws(func(p *peer) {
			p.letIn(wire.Welcome{Seq: 10})
			for range 3 {
				p.send(wire.Ping{})
				answered <- p.hear()
			}
			p.stay()
		}))
		beats := make(chan struct{}, 9)
		_ = g.connect(Config{OnHeartbeat: func() { beats <- struct{}{} }})
		for range 3 {
			<-answered
			<-beats
		}
		synctest.Wait()
		if len(beats) > 0 {
			t.Errorf("%d more were told of", len(beats))
		}
	})
}
