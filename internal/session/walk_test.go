package session

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/wire"
)

func TestPingsComeEveryHeartbeatAndCarryTheFinishedPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		defer w.close()
		_, peer := w.connect(Identity{Machine: "m", Account: "a"}, 0)
		_, bare := w.connect(Identity{Machine: "n", Account: "a", Bare: true}, 0)
		w.publish(Target{Machine: "other"})
		start := time.Now()
		var at [2][]time.Duration
		for range 1000 {
			time.Sleep(tickLength)
			synctest.Wait()
			for i, p := range []*socket.MemoryPeer{peer, bare} {
				want := [...]string{`{"type":"ping","seq":1}`, `{"type":"ping"}`}[i]
				if f, ok := p.Next(); ok {
					if string(f) != want {
						t.Fatalf("got %s, want %s", f, want)
					}
					at[i] = append(at[i], time.Since(start))
					p.Touch()
				}
			}
		}
		for _, times := range at {
			if len(times) < 3 || times[0] > wire.Heartbeat+tickLength {
				t.Fatalf("pings after %v, want the first within %s", times, wire.Heartbeat)
			}
			for i := 1; i < len(times); i++ {
				if d := times[i] - times[i-1]; d != wire.Heartbeat {
					t.Errorf("pings %s apart, want %s", d, wire.Heartbeat)
				}
			}
		}
	})
}

func TestAPingToASessionThatIsBehindHasNoPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		defer w.close()
		s, peer := w.connect(Identity{Machine: "m", Account: "a"}, 0)
		peer.SetRoom(socket.Room{})
		w.publish(Target{})
		l, _ := s.lock()
		l.set(reading) // as while the log is read
		l.unlock()
		peer.SetRoom(socket.Room{Bytes: 1 << 20, Frames: 100})
		time.Sleep(wire.Heartbeat + tickLength)
		synctest.Wait()
		if f, _ := peer.Next(); string(f) != `{"type":"ping"}` {
			t.Errorf("got %s, want a ping without a position", f)
		}
	})
}

func TestSilenceEndsASessionAfterOneAndAHalfHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		defer w.close()
		_, peer := w.connect(Identity{Machine: "m", Account: "a"}, 0)
		time.Sleep(20 * time.Second)
		peer.Touch() // any byte counts
		time.Sleep(wire.Silence(wire.Heartbeat) - tickLength)
		if _, ended := peer.Closure(); ended {
			t.Fatal("ended before its time")
		}
		time.Sleep(tickLength)
		synctest.Wait()
		how, ended := peer.Closure()
		if !ended || how.Code != uint16(wire.CloseSilent) || how.Reason != "silent" {
			t.Fatalf("got %v (%v), want 4001 silent", how, ended)
		}
	})
}

func TestAFreshTokenIsPushedAtItsMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fresh := socket.Prepare([]byte(`{"type":"token"}`))
		w := newWorld(t, Config{Refresh: func(Session) (socket.Prepared, time.Time) {
			return fresh, time.Now().Add(10 * time.Minute)
		}})
		defer w.close()
		s, peer := w.enter(Identity{Machine: "m", Account: "a"})
		s.Start(hello, 0, time.Now().Add(10*time.Minute))
		start := time.Now()
		var at []time.Duration
		for time.Since(start) < 25*time.Minute {
			time.Sleep(tickLength)
			synctest.Wait()
			for f, ok := peer.Next(); ok; f, ok = peer.Next() {
				peer.Touch()
				if string(f) == string(fresh.Payload()) {
					at = append(at, time.Since(start))
				}
			}
		}
		if len(at) != 2 || at[0] != 10*time.Minute || at[1] != 20*time.Minute {
			t.Fatalf("tokens pushed after %v, want 10m and 20m", at)
		}
	})
}

func TestTenThousandSessionsAddNoGoroutine(t *testing.T) {
	w := newWorld(t, Config{})
	defer w.close()
	before := runtime.NumGoroutine()
	for i := range 10_000 {
		w.connect(Identity{Machine: fmt.Sprint(i), Account: "a"}, 0)
	}
	w.publish(Target{})
	// One of the test before may have ended meanwhile, and those of the round are about to.
	for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines with 10,000 sessions, %d without", runtime.NumGoroutine(), before)
			break
		}
	}
	if err := w.hub.Check(); err != nil {
		t.Error(err)
	}
}

// A timer of a session could not be counted from outside, so the source is: one ticker walks, one
// timer pauses a reader after a failed read, and that is all there is.
func TestNoTimerBelongsToASession(t *testing.T) {
	var found []string
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if of, ok := sel.X.(*ast.Ident); ok && of.Name == "time" {
				switch sel.Sel.Name {
				case "AfterFunc", "NewTimer", "NewTicker", "After", "Tick":
					found = append(found, f.Name()+":"+sel.Sel.Name)
				}
			}
			return true
		})
	}
	if got := strings.Join(found, " "); got != "reads.go:NewTimer walk.go:NewTicker" {
		t.Errorf("timers in the package: %s", got)
	}
}
