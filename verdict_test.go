package fleetline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/wire"
)

// deletions are all the ways a machine hears of its end.
var deletions = map[string]http.HandlerFunc{
	"frame without close, on a live session": ws(func(p *peer) {
		p.letIn(wire.Welcome{})
		p.send(message(1, `"not processed"`), wire.MachineDeleted{Message: "gone for good"})
		p.stay()
	}),
	"close 4500 without frame, on a live session": ws(func(p *peer) {
		p.letIn(wire.Welcome{})
		p.close(wire.CloseMachineDeleted, "gone for good")
	}),
	"frame and close, on a live session": ws(func(p *peer) {
		p.letIn(wire.Welcome{})
		p.send(wire.MachineDeleted{Message: "gone for good"})
		p.close(wire.CloseMachineDeleted, "machine_deleted")
	}),
	"frame, as the answer to auth": ws(func(p *peer) {
		p.hearAuth()
		p.send(wire.MachineDeleted{Message: "gone for good"})
		p.close(wire.CloseMachineDeleted, "machine_deleted")
	}),
	"close alone, as the answer to auth": ws(func(p *peer) {
		p.hearAuth()
		p.close(wire.CloseMachineDeleted, "gone for good")
	}),
}

func TestADeletedMachineWipesItsStateAndEnds(t *testing.T) {
	for name, act := range deletions {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := play(t, act)
				store := &MemoryState{state: State{APIKey: "flk_stored", HWID: "hw", MachineID: "mch_old", Position: Position{"e1", 5}}}
				err := endOf(t, g, Config{APIKey: "flk_key", State: store})
				if !errors.Is(err, ErrMachineDeleted) || !strings.Contains(err.Error(), "gone for good") {
					t.Errorf("the end is %v", err)
				}
				want := State{HWID: "hw", DeletedWith: digest("flk_key")}
				if got, _ := store.Load(); got != want {
					t.Errorf("the state is %#v (%+v), want %+v", got, got.Position, want)
				}
			})
		})
	}
}

// endOf connects and returns why the client ended, be it within Connect or after.
func endOf(t *testing.T, g *gateway, cfg Config) error {
	t.Helper()
	c, err := g.tryConnect(t.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	for {
		if _, err := c.Next(t.Context()); err != nil {
			return err
		}
	}
}

func TestADeletedMachineIsRefusedWithTheSameKeyWithoutAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, deletions["frame, as the answer to auth"], ws(idle))
		store := new(MemoryState)
		_ = endOf(t, g, Config{APIKey: "flk_key", State: store})
		for range 3 {
			if _, err := g.tryConnect(t.Context(), Config{APIKey: "flk_key\n", State: store}); !errors.Is(err, ErrMachineDeleted) {
				t.Errorf("Connect = %v, want ErrMachineDeleted", err)
			}
		}
		if n := len(g.dialed()); n != 1 {
			t.Errorf("the gateway was asked %d times, want once", n)
		}
		_ = g.connect(Config{APIKey: "flk_another", State: store})
	})
}

func TestWhatWasQueuedIsNotGivenAfterTheVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, deletions["frame without close, on a live session"])
		c := g.connect(Config{})
		synctest.Wait()
		if msg, err := c.Next(t.Context()); !errors.Is(err, ErrMachineDeleted) {
			t.Errorf("Next = %s, %v", msg.Data, err)
		}
	})
}

func TestADeletionThatCannotBeStoredIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, deletions["frame, as the answer to auth"])
		full := errors.New("disk full")
		err := endOf(t, g, Config{State: &failingStore{after: 1, err: full}})
		if !errors.Is(err, ErrMachineDeleted) || !errors.Is(err, full) {
			t.Errorf("the end is %v", err)
		}
	})
}

// failingStore fails every save but the first ones.
type failingStore struct {
	MemoryState
	after int32
	saves atomic.Int32
	err   error
}

func (f *failingStore) Save(s State) error {
	if f.saves.Add(1) > f.after {
		return f.err
	}
	return f.MemoryState.Save(s)
}

func TestNothingButADeletionIsTakenForOne(t *testing.T) {
	refuse := func(code wire.CloseCode, reason string, frames ...wire.Down) http.HandlerFunc {
		return ws(func(p *peer) {
			p.hearAuth()
			p.send(frames...)
			p.close(code, reason)
		})
	}
	end := func(code wire.CloseCode) http.HandlerFunc {
		return ws(func(p *peer) { p.letIn(wire.Welcome{}); p.close(code, "") })
	}
	acts := map[string]http.HandlerFunc{
		"200 HTML": page(200), "401": page(401), "403": page(403), "404": page(404), "426": page(426), "500": page(500), "503": page(503),
		"redirect elsewhere":   page(302, "Location", "http://login.test/"),
		"nothing but a drop":   ws(func(p *peer) { p.hearAuth() }),
		"drop on live":         ws(func(p *peer) { p.letIn(wire.Welcome{}) }),
		"drop in mid-frame":    ws(func(p *peer) { p.letIn(wire.Welcome{}); p.sendRaw([]byte("\x81\x7e\x10\x00{\"type\":\"machine_del")) }),
		"drop in a header":     ws(func(p *peer) { p.letIn(wire.Welcome{}); p.sendRaw([]byte("\x81")) }),
		"broken framing":       ws(func(p *peer) { p.letIn(wire.Welcome{}); p.sendRaw([]byte(strings.Repeat("\xff", 14))); p.stay() }),
		"held":                 refuse(wire.CloseHeld, "held", wire.Error{Message: "wait", Code: wire.CodeHeld}),
		"directory away":       refuse(wire.CloseDirectoryUnavailable, "", wire.AuthFailed{Message: "later", Code: wire.CodeDirectoryUnavailable}),
		"too many connections": refuse(wire.CloseTooManyConnections, ""),
		"auth_failed no code":  refuse(1000, "", wire.AuthFailed{Message: "try again"}),
		"bad_token":            refuse(wire.CloseBadToken, ""),
		"a frame too large": ws(func(p *peer) {
			p.letIn(wire.Welcome{})
			p.send(message(1, `"`+strings.Repeat("x", wire.MaxDown)+`"`))
			p.stay()
		}),
	}
	for _, code := range []wire.CloseCode{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 3000, 4000, 4001, 4002, 4003, 4004, 4005, 4006, 4007, 4499} {
		acts[fmt.Sprintf("close %d on live", code)] = end(code)
	}
	for name, act := range acts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := play(t, act, act, ws(idle))
				store := &MemoryState{state: State{APIKey: "flk_stored", HWID: "hw", MachineID: "mch_1", Position: Position{"e1", 5}}}
				c := g.connect(Config{APIKey: "flk_key", State: store})
				time.Sleep(time.Minute)
				if n := len(g.dialed()); n != 3 || c.Err() != nil || c.Status().Phase != Connected {
					t.Errorf("%d attempts, %+v", n, c.Status())
				}
				if got, _ := store.Load(); got.APIKey != "flk_stored" || got.DeletedWith != "" || got.MachineID != "mch_1" || got.HWID != "hw" {
					t.Error("the state was touched")
				}
			})
		})
	}
}

func TestABadKeyEndsTheClientAndKeepsItsState(t *testing.T) {
	for name, act := range map[string]http.HandlerFunc{
		"frame and close": ws(func(p *peer) {
			p.hearAuth()
			p.send(wire.AuthFailed{Message: "Invalid API Key", Code: wire.CodeBadKey})
			p.close(4501, "bad_key")
		}),
		"close alone": ws(func(p *peer) { p.hearAuth(); p.close(4501, "Invalid API Key") }),
		"frame without close": ws(func(p *peer) {
			p.hearAuth()
			p.send(wire.AuthFailed{Message: "Invalid API Key", Code: wire.CodeBadKey})
			p.stay()
		}),
		"the fixed block": ws(func(p *peer) { p.hearAuth(); p.sendText(`{"type":"auth_failed","message":"Invalid API Key"}`) }),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := play(t, act)
				store := &MemoryState{state: State{APIKey: "flk_stored", HWID: "hw", MachineID: "mch_1"}}
				before, _ := store.Load()
				err := endOf(t, g, Config{State: store})
				if !errors.Is(err, ErrBadKey) || !strings.Contains(err.Error(), "Invalid API Key") || errors.Is(err, ErrMachineDeleted) {
					t.Errorf("the end is %v", err)
				}
				if after, _ := store.Load(); after != before {
					t.Error("the state was touched")
				}
			})
		})
	}
}

func TestAProtocolRefusalEndsTheClientWithTheGatewaysWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(func(p *peer) {
			p.hearAuth()
			p.sendText(`{"type":"error","message":"Bad frame: machine.hwid is missing.","code":"bad_frame"}`)
			p.close(wire.CloseProtocol, "bad_frame")
		}))
		err := endOf(t, g, Config{})
		r, ok := errors.AsType[*Refusal](err)
		if !ok || !errors.Is(err, ErrProtocol) || r.Message != "Bad frame: machine.hwid is missing." || r.Close != wire.CloseProtocol || !r.Terminal() {
			t.Errorf("the end is %#v", err)
		}
	})
}

func TestAnUnknownTerminalCodeEndsTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(func(p *peer) { p.letIn(wire.Welcome{}); p.close(4777, "from the future") }))
		err := endOf(t, g, Config{})
		r, ok := errors.AsType[*Refusal](err)
		if !ok || r.Close != 4777 || errors.Is(err, ErrMachineDeleted) || errors.Is(err, ErrBadKey) {
			t.Errorf("the end is %v", err)
		}
	})
}

func TestAKeyThatWasRotatedIsTakenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var key atomic.Value
		key.Store("flk_old")
		heard := make(chan string, 10)
		g := play(t, ws(func(p *peer) {
			a := p.hearAuth()
			heard <- a.APIKey
			if a.APIKey != "flk_new" {
				key.Store("flk_new") // the operator is a moment late
				p.send(wire.AuthFailed{Message: "Invalid API Key", Code: wire.CodeBadKey})
				return
			}
			p.send(success(wire.Welcome{}))
			p.stay()
		}))
		_ = g.connect(Config{KeyFunc: func(context.Context) (string, error) { return key.Load().(string), nil }})
		if first, second := <-heard, <-heard; first != "flk_old" || second != "flk_new" {
			t.Errorf("came with %s, then %s", first, second)
		}
	})
}

func TestAKeyThatCannotBeReadIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(idle))
		var d diary
		n := 0
		_ = g.connect(Config{OnStatus: d.note, KeyFunc: func(context.Context) (string, error) {
			if n++; n < 3 {
				return "", errors.New("the vault is locked")
			}
			return "flk_key", nil
		}})
		waits := d.of(Waiting)
		if len(waits) != 2 || !strings.Contains(waits[0].Reason.Error(), "the vault is locked") {
			t.Errorf("waits: %v", waits)
		}
	})
}

func TestTheGatewaysWordsCannotMoveTheCursor(t *testing.T) {
	r := &Refusal{Code: "x\x1b[2J", Message: "a\x1b[31m\r\n" + strings.Repeat("é", 300)}
	if got := r.Error(); strings.ContainsAny(got, "\x1b\r\n") || len([]rune(got)) > 300 {
		t.Errorf("got %q", got)
	}
}
