package broker

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTheWindowKeepsItsBoundInBytes(t *testing.T) {
	const bound = 100 << 10
	w := newWindow(bound)
	w.reset(0, 0)
	data := text(strings.Repeat("x", 1000))
	for seq := uint64(1); seq <= 1000; seq++ {
		e := newData(record{seq: seq, data: data}, Target{Machine: fmt.Sprint(seq % 7)})
		w.append(e)
		if seq%2 == 0 {
			e.Frame(true) // an old client asks for it
		}
		if n, _ := w.size(); n > bound+2*e.size() {
			t.Fatalf("at %d it holds %d bytes of %d", seq, n, bound)
		}
	}
	held := 0
	for i := range w.order.len() {
		held += w.order.at(i).size()
		if p := w.order.at(i).bare.Load(); p != nil {
			held += len(*p)
		}
	}
	if n, _ := w.size(); n != held {
		t.Errorf("it counts %d bytes and holds %d", n, held)
	}
	if len(w.targets) > 7 {
		t.Errorf("it indexes %d targets", len(w.targets))
	}
}

func TestABareFrameIsMadeOnceForAllWhoAsk(t *testing.T) {
	e := newData(record{seq: 1, id: "x", data: text("hello")}, Target{})
	frames := make([]*byte, 16)
	var all sync.WaitGroup
	for i := range frames {
		all.Go(func() { frames[i] = &e.Frame(true)[0] })
	}
	all.Wait()
	for _, f := range frames {
		if f != frames[0] {
			t.Fatal("it was made twice")
		}
	}
}

func TestReadersOfTheWindowSeeNoHoleWhileTheTailAppends(t *testing.T) {
	w := newWindow(200 << 10)
	w.reset(0, 0)
	const last = 20_000
	var all sync.WaitGroup
	all.Go(func() {
		for seq := uint64(1); seq <= last; seq++ {
			w.append(newData(record{seq: seq, data: text("x")}, []Target{{Machine: "m"}, {Account: "a"}, {}}[seq%3]))
		}
	})
	for range 4 {
		all.Go(func() {
			for pos := uint64(0); pos < last; {
				got, reached, ok := w.recent(Target{"m", "a"}, pos, 10_000, nil)
				if !ok {
					pos, _ = w.span()
					continue
				}
				for _, e := range got {
					if e.Seq != pos+1 {
						t.Errorf("%d came after %d", e.Seq, pos)
						return
					}
					pos = e.Seq
				}
				if reached != pos {
					t.Errorf("reached %d with the last entry at %d", reached, pos)
					return
				}
			}
		})
	}
	all.Wait()
}

// TestTheWindowIsTheLogInMemory compares with a plain list, entry by entry.
func TestTheWindowIsTheLogInMemory(t *testing.T) {
	targets := []Target{{}, {Machine: "m1"}, {Machine: "m2"}, {Account: "a1"}, {Account: "a2"}}
	rapid.Check(t, func(t *rapid.T) {
		w := newWindow(rapid.IntRange(1, 5000).Draw(t, "bound"))
		start := rapid.Uint64Range(0, 5).Draw(t, "start")
		w.reset(start, start)
		var list []*Entry
		seq := start
		for range rapid.IntRange(0, 60).Draw(t, "entries") {
			seq += rapid.Uint64Range(1, 3).Draw(t, "step")
			if rapid.IntRange(0, 4).Draw(t, "beat") == 0 {
				w.advance(seq)
				continue
			}
			r := record{seq: seq, at: time.Now(), data: text("x")}
			if rapid.IntRange(0, 9).Draw(t, "old") == 0 {
				r.at, r.ttl = time.Now().Add(-time.Hour), time.Second
			}
			e := newData(r, rapid.SampledFrom(targets).Draw(t, "target"))
			list = append(list, e)
			w.append(e)
		}
		s := Target{rapid.SampledFrom([]string{"", "m1", "m2"}).Draw(t, "m"), rapid.SampledFrom([]string{"", "a1"}).Draw(t, "a")}
		after := rapid.Uint64Range(0, seq).Draw(t, "after")
		got, reached, ok := w.recent(s, after, rapid.IntRange(1, 200).Draw(t, "max"), nil)
		floor, _ := w.span()
		if ok != (after >= floor) || floor < start {
			t.Fatalf("after %d with the floor at %d: got %t", after, floor, ok)
		}
		if !ok {
			return
		}
		i := 0
		for _, e := range list {
			mine := e.Target == Target{} || e.Target.Machine != "" && e.Target.Machine == s.Machine || e.Target.Account != "" && e.Target.Account == s.Account
			if !mine || e.Seq <= after || e.Seq > reached || e.Expired(time.Now()) {
				continue
			}
			if i == len(got) || got[i] != e {
				t.Fatalf("%d is missing up to %d", e.Seq, reached)
			}
			i++
		}
		if i != len(got) {
			t.Fatalf("%d entries too many", len(got)-i)
		}
	})
}
