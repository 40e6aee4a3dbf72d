package fleetline

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/wire"
)

// position is what an auth asked to recover after.
func position(a wire.Auth) Position {
	if a.LastSeq == nil {
		return Position{Epoch: a.Epoch}
	}
	return Position{a.Epoch, *a.LastSeq}
}

func TestAReconnectGoesOnBehindWhatWasReceived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan Position, 3)
		g := play(t,
			ws(func(p *peer) {
				asked <- position(p.letIn(wire.Welcome{Seq: 10}))
				p.send(message(12, "12"), message(15, "15"))
			}),
			ws(func(p *peer) {
				asked <- position(p.letIn(wire.Welcome{Seq: 15, Recovered: true}))
				p.send(message(20, "20"))
				p.stay()
			}))
		c := g.connect(Config{})
		if got := take(t, c, 3); !slices.Equal(got, []string{"12", "15", "20"}) {
			t.Errorf("got %v", got)
		}
		if first, second := <-asked, <-asked; first != (Position{}) || second != (Position{"e1", 15}) {
			t.Errorf("asked for %v, then %v", first, second)
		}
	})
}

func TestDuplicatesAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(func(p *peer) {
			p.letIn(wire.Welcome{Seq: 10})
			p.send(message(9, "9"), message(10, "10"), message(11, "11"), message(11, "11"), message(13, "13"), message(12, "12"), message(0, `"live"`), message(0, `"live"`), message(14, "14"))
			p.stay()
		}))
		c := g.connect(Config{})
		if got := take(t, c, 5); !slices.Equal(got, []string{"11", "13", `"live"`, `"live"`, "14"}) {
			t.Errorf("got %v", got)
		}
	})
}

func TestAPingMovesTheReceivedPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan Position, 1)
		seq, older := uint64(50), uint64(40)
		g := play(t,
			ws(func(p *peer) {
				p.letIn(wire.Welcome{Seq: 10})
				p.send(wire.Ping{Seq: &seq})
				p.hear()
				p.send(wire.Ping{Seq: &older})
				p.hear()
			}),
			ws(func(p *peer) { asked <- position(p.letIn(wire.Welcome{Seq: 50, Recovered: true})); p.stay() }))
		_ = g.connect(Config{OnGap: func(g Gap) { t.Errorf("told of the gap %+v", g) }})
		if at := <-asked; at != (Position{"e1", 50}) {
			t.Errorf("asked for %v", at)
		}
	})
}

// story collects messages and gaps in the order in which they are told.
func story(t *testing.T, g *gateway, cfg Config, messages int) (told []string) {
	cfg.OnGap = func(g Gap) {
		told = append(told, fmt.Sprintf("gap %s:%d-%s:%d", g.After.Epoch, g.After.Seq, g.Until.Epoch, g.Until.Seq))
	}
	c := g.connect(cfg)
	synctest.Wait()
	for range messages {
		msg, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, string(msg.Data))
	}
	return told
}

func TestAGapIsToldInOrderAmongTheMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan Position, 1)
		g := play(t,
			ws(func(p *peer) {
				p.letIn(wire.Welcome{Seq: 10})
				p.send(message(11, "11"), wire.Gap{Seq: 20}, message(20, "20"), message(21, "21"), wire.Gap{Seq: 15}, wire.Gap{Seq: 30}, wire.Gap{Seq: 40})
			}),
			ws(func(p *peer) {
				asked <- position(p.letIn(wire.Welcome{Seq: 40, Recovered: true}))
				p.send(message(41, "41"))
				p.stay()
			}))
		got := story(t, g, Config{}, 3)
		if want := []string{"11", "gap e1:11-e1:20", "21", "gap e1:21-e1:40", "41"}; !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		if at := <-asked; at != (Position{"e1", 40}) {
			t.Errorf("asked for %v", at)
		}
	})
}

func TestRecoveredFalseIsAGap(t *testing.T) {
	for name, c := range map[string]struct {
		welcome wire.Welcome
		next    uint64
		want    []string
	}{
		"history was trimmed":              {wire.Welcome{Seq: 30, Epoch: "e1"}, 31, []string{"11", "gap e1:11-e1:30", `"next"`}},
		"the log is shorter than we knew":  {wire.Welcome{Seq: 5, Epoch: "e1"}, 6, []string{"11", "gap e1:11-e1:5", `"next"`}},
		"a new life of the log":            {wire.Welcome{Seq: 8, Epoch: "e2"}, 9, []string{"11", "gap e1:11-e2:8", `"next"`}},
		"a new life that lost nothing":     {wire.Welcome{Seq: 8, Epoch: "e2", Recovered: true}, 9, []string{"11", `"next"`}},
		"the same life that lost nothing":  {wire.Welcome{Seq: 11, Epoch: "e1", Recovered: true}, 12, []string{"11", `"next"`}},
		"a gateway that says its own head": {wire.Welcome{Seq: 99, Epoch: "e1", Recovered: true}, 12, []string{"11", `"next"`}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := make(chan Position, 1)
				g := play(t,
					ws(func(p *peer) { p.letIn(wire.Welcome{Seq: 10}); p.send(message(11, "11")) }),
					ws(func(p *peer) { p.letIn(c.welcome); p.send(message(c.next, `"next"`)) }),
					ws(func(p *peer) {
						asked <- position(p.letIn(wire.Welcome{Seq: c.next, Epoch: c.welcome.Epoch, Recovered: true}))
						p.stay()
					}))
				if got := story(t, g, Config{}, 2); !slices.Equal(got, c.want) {
					t.Errorf("told %q, want %q", got, c.want)
				}
				if at := <-asked; at != (Position{c.welcome.Epoch, c.next}) {
					t.Errorf("then asked for %v", at)
				}
			})
		})
	}
}

func TestAMachineThatSentNoPositionIsToldOfNoGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(func(p *peer) {
			p.letIn(wire.Welcome{Seq: 10, Recovered: false})
			p.send(message(11, "11"))
			p.stay()
		}))
		if got := story(t, g, Config{}, 1); !slices.Equal(got, []string{"11"}) {
			t.Errorf("told %q", got)
		}
	})
}

func TestAMessageIsProcessedWhenTheNextIsAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		use  func(t *testing.T, c *Client)
		want uint64
	}{
		"nothing was taken":     {func(*testing.T, *Client) {}, 10},
		"one is in hand":        {func(t *testing.T, c *Client) { take(t, c, 1) }, 10},
		"the second is in hand": {func(t *testing.T, c *Client) { take(t, c, 2) }, 11},
		"the loop was left": {func(t *testing.T, c *Client) {
			for range c.Messages(t.Context()) {
				break
			}
		}, 10},
		"one was acknowledged":    {func(t *testing.T, c *Client) { take(t, c, 1); c.Ack(); c.Ack() }, 11},
		"the next is waited for":  {func(t *testing.T, c *Client) { take(t, c, 3); _, _ = c.Next(withTimeout(t, time.Minute)) }, 20},
		"all, and the ping after": {func(t *testing.T, c *Client) { take(t, c, 3); c.Ack() }, 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := make(chan Position, 1)
				seq := uint64(20)
				g := play(t,
					ws(func(p *peer) {
						p.letIn(wire.Welcome{Seq: 10})
						p.send(message(11, "11"), message(12, "12"), message(13, "13"), wire.Ping{Seq: &seq})
						p.beat(30 * time.Second)
					}),
					ws(func(p *peer) { asked <- position(p.letIn(wire.Welcome{Recovered: true})); p.stay() }))
				store := new(MemoryState)
				first := g.connect(Config{State: store})
				synctest.Wait()
				c.use(t, first)
				if err := first.Close(); err != nil {
					t.Fatal(err)
				}
				_ = g.connect(Config{State: store})
				if at := <-asked; at != (Position{"e1", c.want}) {
					t.Errorf("the next run asked for %v, want %d", at, c.want)
				}
			})
		})
	}
}

func TestThePositionIsSavedAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 200
		g := play(t, ws(func(p *peer) {
			p.letIn(wire.Welcome{})
			for seq := range uint64(n) {
				p.send(message(seq+1, "0"))
				time.Sleep(50 * time.Millisecond)
			}
			p.stay()
		}))
		store := &failingStore{after: 1 << 30}
		c := g.connect(Config{State: store})
		before := store.saves.Load()
		take(t, c, n)
		if saves := store.saves.Load() - before; saves < 9 || saves > 12 {
			t.Errorf("%d saves in 10 s", saves)
		}
		c.Ack()
		time.Sleep(saveEvery)
		synctest.Wait()
		if s, _ := store.Load(); s.Position.Seq != n {
			t.Errorf("a second later the stored position is %v", s.Position)
		}
	})
}

func TestASaveThatFailsIsTriedAgainAndToldByClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(func(p *peer) { p.letIn(wire.Welcome{Seq: 5}); p.beat(30 * time.Second) }))
		store := &failingStore{after: 1, err: errors.New("disk full")}
		c := g.connect(Config{State: store})
		time.Sleep(10 * time.Second)
		if n := store.saves.Load(); n < 8 {
			t.Errorf("%d tries in 10 s", n)
		}
		if err := c.Close(); !errors.Is(err, store.err) {
			t.Errorf("Close = %v", err)
		}
	})
}

func TestAStateThatCannotBeSavedAtTheStartIsRefused(t *testing.T) {
	store := &failingStore{err: errors.New("read-only")}
	if _, err := Connect(t.Context(), "ws://gateway.test", Config{APIKey: "k", State: store}); !errors.Is(err, store.err) {
		t.Errorf("Connect = %v", err)
	}
}

// fleetLog is a gateway's log for one machine, behind connections that break at random.
type fleetLog struct {
	rng  *rand.Rand
	last uint64

	mu    sync.Mutex
	began int // connections
}

// serve hands over everything behind the position that was asked for, until it breaks.
func (l *fleetLog) serve(p *peer) {
	auth := p.hearAuth()
	l.mu.Lock()
	at, budget := position(auth).Seq, l.rng.IntN(40)
	l.began++
	l.mu.Unlock()
	p.send(success(wire.Welcome{Seq: at, Recovered: true}))
	for seq := max(1, at-min(at, 3)); seq <= l.last; seq++ { // a little of what came before comes again
		if budget--; budget < 0 {
			p.sendRaw([]byte{0x81, 0x7e, 0x01}) // a torn frame
			return
		}
		p.send(message(seq, fmt.Sprint(seq)))
	}
	p.beat(30 * time.Second)
}

func TestOverABreakingLineNothingIsLostAndNothingComesTwice(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &fleetLog{rng: rand.New(rand.NewPCG(seed, 0)), last: 500}
				g := play(t, ws(l.serve))
				store := &MemoryState{state: State{Position: Position{"e1", 0}}}
				c, mine := g.connect(Config{State: store}), rand.New(rand.NewPCG(seed, 1))
				for want := uint64(1); want <= l.last; want++ {
					if mine.IntN(20) == 0 {
						time.Sleep(time.Duration(mine.IntN(100)) * time.Second)
					}
					msg, err := c.Next(t.Context())
					if err != nil || msg.Position.Seq != want {
						t.Fatalf("got %v, %v, want %d", msg.Position, err, want)
					}
					if mine.IntN(30) == 0 { // a restart, after which this message is behind us
						c.Ack()
						if err := c.Close(); err != nil {
							t.Fatal(err)
						}
						c = g.connect(Config{State: store})
					}
				}
				if l.began < 10 {
					t.Errorf("only %d connections: nothing was tried", l.began)
				}
			})
		})
	}
}
