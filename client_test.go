package fleetline

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/wire"
)

func TestMessagesComeInOrderToTheLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(func(p *peer) {
			p.letIn(wire.Welcome{Seq: 10})
			p.send(message(11, `{"n":1}`))
			p.sendText(`{"type":"data","id":"a","data": "<live & only>" }`)
			p.sendText(`{"type":"data","seq":15,"id":"b","data":null}`)
			p.stay()
		}))
		c := g.connect(Config{})
		var got []Message
		for msg := range c.Messages(t.Context()) {
			if got = append(got, msg); len(got) == 3 {
				break
			}
		}
		want := []Message{
			{Position: Position{"e1", 11}, Data: []byte(`{"n":1}`)},
			{ID: "a", Data: []byte(`"<live & only>"`)},
			{Position: Position{"e1", 15}, ID: "b", Data: []byte(`null`)},
		}
		if !slices.EqualFunc(got, want, func(a, b Message) bool {
			return a.Position == b.Position && a.ID == b.ID && string(a.Data) == string(b.Data)
		}) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestTheFirstFrameSaysWhoThisMachineIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auths, urls := make(chan wire.Auth, 2), make(chan string, 2)
		g := play(t, ws(func(p *peer) {
			urls <- p.request.URL.String()
			auths <- p.letIn(wire.Welcome{MachineID: "mch_x"})
			p.stay()
		}))
		store := new(MemoryState)
		cfg := Config{APIKey: " key\n", State: store, Machine: MachineInfo{Hostname: "mine", Version: "1.2"}}
		_ = g.connect(cfg).Close()
		first := <-auths
		if m := first.Machine; m == nil || m.Hostname != "mine" || m.Version != "1.2" || m.OS != runtime.GOOS || m.Arch != runtime.GOARCH ||
			m.CPUCores == 0 || m.RAMBytes == 0 || len(m.HWID) != 32 {
			t.Errorf("machine = %+v", m)
		}
		if first.APIKey != "key" || first.V != wire.Version || first.MachineID != "" || first.LastSeq != nil {
			t.Errorf("the first auth is %#v", first.Machine)
		}
		if u := <-urls; u != "/" {
			t.Errorf("the URL is %q", u)
		}
		_ = g.connect(cfg).Close()
		second := <-auths
		if second.MachineID != "mch_x" || second.Machine.HWID != first.Machine.HWID {
			t.Errorf("the second run is machine %q with hwid %q, want mch_x with %q", second.MachineID, second.Machine.HWID, first.Machine.HWID)
		}
	})
}

func TestWithoutStateAndHWIDItIsTheDefaultMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auths := make(chan wire.Auth, 1)
		g := play(t, ws(func(p *peer) { auths <- p.letIn(wire.Welcome{}); p.stay() }))
		_ = g.connect(Config{}).Close()
		if a := <-auths; a.Machine != nil {
			t.Errorf("machine = %+v, want none", a.Machine)
		}
		_ = g.connect(Config{Machine: MachineInfo{HWID: "own"}}).Close()
		if a := <-auths; a.Machine == nil || a.Machine.HWID != "own" {
			t.Errorf("machine = %+v, want hwid own", a.Machine)
		}
	})
}

func TestConnectGoesOnTryingUntilItIsLetIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, page(503), ws(func(p *peer) {}), ws(idle))
		var d diary
		c := g.connect(Config{OnStatus: d.note})
		if n := len(g.dialed()); n != 3 {
			t.Errorf("let in after %d attempts, want 3", n)
		}
		if s := c.Status(); s.Phase != Connected || s.MachineID != "mch_1" || s.SessionID != "ses_1" {
			t.Errorf("Status = %+v", s)
		}
		if n := len(d.of(Waiting)); n != 2 {
			t.Errorf("told of %d waits, want 2", n)
		}
	})
}

func TestConnectGivesUpWithItsContextAndSaysWhyItWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, page(401))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c, err := g.tryConnect(ctx, Config{})
		if c != nil || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "401") {
			t.Errorf("Connect = %v, %v", c, err)
		}
	})
}

func TestTheContextOfConnectDoesNotEndTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(idle))
		ctx, cancel := context.WithCancel(t.Context())
		c, err := g.tryConnect(ctx, Config{})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		synctest.Wait()
		if c.Err() != nil || c.Status().Phase != Connected {
			t.Errorf("Err = %v, Status = %+v", c.Err(), c.Status())
		}
		_ = c.Close()
	})
}

func TestAllProblemsOfAConfigAreReportedAtOnce(t *testing.T) {
	_, err := Connect(t.Context(), "ws://gateway.test", Config{MaxFrame: -1, Machine: MachineInfo{Version: strings.Repeat("v", 300)}})
	for _, want := range []string{"API key", "MaxFrame", "Version"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

func TestNextEndsWithItsContextAndTheClientGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(func(p *peer) {
			p.letIn(wire.Welcome{})
			time.Sleep(time.Second)
			p.send(message(1, "1"))
			p.stay()
		}))
		c := g.connect(Config{})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("enough"))
		defer cancel()
		if _, err := c.Next(ctx); err == nil || err.Error() != "enough" {
			t.Errorf("Next = %v, want the cause", err)
		}
		for range c.Messages(ctx) {
			t.Error("a message after the end of ctx")
		}
		if c.Err() != nil {
			t.Errorf("Err = %v", c.Err())
		}
		take(t, c, 1)
	})
}

func TestCloseSaysGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goodbye := make(chan bool, 1)
		g := play(t, ws(func(p *peer) {
			p.letIn(wire.Welcome{})
			heard := p.stay()
			goodbye <- len(heard) == 1 && heard[0] == wire.Disconnect{}
		}))
		var d diary
		c := g.connect(Config{OnStatus: d.note})
		start := time.Now()
		if err := c.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		if !<-goodbye || time.Since(start) != 0 {
			t.Errorf("no goodbye, or it took %v", time.Since(start))
		}
		if _, err := c.Next(t.Context()); !errors.Is(err, ErrClosed) || !errors.Is(c.Err(), ErrClosed) {
			t.Errorf("Next = %v, Err = %v, want ErrClosed", err, c.Err())
		}
		if ends := d.of(Ended); len(ends) != 1 || !errors.Is(ends[0].Reason, ErrClosed) {
			t.Errorf("told of the end: %v", ends)
		}
		if err := c.Close(); err != nil {
			t.Errorf("the second Close = %v", err)
		}
	})
}

func TestCloseWaitsOneSecondForAGatewayThatDoesNotListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(func(p *peer) {
			p.letIn(wire.Welcome{})
			p.freeze()
		}))
		c := g.connect(Config{})
		start := time.Now()
		_ = c.Close()
		if took := time.Since(start); took != goodbyeWithin {
			t.Errorf("Close took %v, want %v", took, goodbyeWithin)
		}
	})
}

func TestCloseEndsAWaitAndADialAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := play(t, ws(func(p *peer) { p.letIn(wire.Welcome{}); p.close(wire.CloseRestart, "drain; retryAfterMs=600000") }))
		c := g.connect(Config{})
		synctest.Wait()
		start := time.Now()
		_ = c.Close()
		if took := time.Since(start); took != 0 || c.Status().Phase != Ended {
			t.Errorf("Close took %v, Status = %+v", took, c.Status())
		}
	})
}

func TestAGatewayThatKnowsOnlyTheFixedBlockServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pongs, taken := make(chan wire.Up, 1), make(chan struct{})
		g := play(t, ws(func(p *peer) {
			p.hearAuth()
			p.sendText(`{"type":"auth_success","sessionToken":"T","message":"Authentication successful"}`)
			p.sendText(`{"type":"ping"}`)
			pongs <- p.hear()
			p.sendText(`{"type":"data","data":1}`)
			<-taken
			p.sendText(`{"type":"machine_deleted","message":"Your machine has been deleted. Please re-authenticate."}`)
		}))
		c := g.connect(Config{})
		if got := take(t, c, 1); got[0] != "1" {
			t.Errorf("got %v", got)
		}
		close(taken)
		if p := <-pongs; p != (wire.Pong{}) {
			t.Errorf("the pong is %#v, want a bare one", p)
		}
		if _, err := c.Next(t.Context()); !errors.Is(err, ErrMachineDeleted) {
			t.Errorf("Next = %v", err)
		}
	})
}
