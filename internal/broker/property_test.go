package broker

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"
)

// world is a real broker beside a plain list of what was published.
type world struct {
	t   *rapid.T
	tb  testing.TB
	c   Config
	b   *heard
	run int

	published []posted
	trimmed   uint64 // everything up to here was trimmed from the log
	readers   []*follower
	met       tally
}

// tally counts what the runs met, to show that they meet everything.
type tally struct{ messages, fromWindow, fromLog, gaps, lives int }

type posted struct {
	seq  uint64
	to   Target
	text string
}

// follower is one session: it reads forward and remembers what it was told.
type follower struct {
	session Target
	epoch   string
	pos     uint64
	start   uint64
	got     []string
	gaps    [][2]uint64
}

var (
	machines = []string{"", "m1", "m2", "m3"}
	accounts = []string{"", "a1", "a2"}
)

func (w *world) openBroker() {
	w.b = open(w.tb, w.c)
	for _, f := range w.readers {
		w.resolve(f)
	}
}

// resolve is what a session does when it comes back.
func (w *world) resolve(f *follower) {
	after, recovered := w.b.Resolve(f.epoch, f.pos)
	sameLife := f.epoch == w.b.Epoch()
	if after < f.pos {
		w.t.Fatalf("position %d of life %s was moved back to %d: nothing was lost", f.pos, f.epoch, after)
	}
	if recovered != (sameLife && after == f.pos) {
		w.t.Fatalf("position %d: moved to %d, recovered %t, same life %t", f.pos, after, recovered, sameLife)
	}
	if after > f.pos {
		w.gap(f, after)
	}
	f.epoch = w.b.Epoch()
}

// gap notes a gap that was told, which must be true.
func (w *world) gap(f *follower, to uint64) {
	if to <= f.pos || to > w.trimmed {
		w.t.Fatalf("a gap from %d to %d was told; trimmed is up to %d", f.pos, to, w.trimmed)
	}
	w.met.gaps++
	f.gaps = append(f.gaps, [2]uint64{f.pos, to})
	f.pos = to
}

func (w *world) publish() {
	to := Target{}
	if rapid.Bool().Draw(w.t, "to a machine") {
		to.Machine = rapid.SampledFrom(machines).Draw(w.t, "machine")
	} else {
		to.Account = rapid.SampledFrom(accounts).Draw(w.t, "account")
	}
	var sent []*Pending
	n := rapid.IntRange(1, 40).Draw(w.t, "messages")
	size := rapid.IntRange(0, 2000).Draw(w.t, "size")
	for i := range n {
		p, err := w.b.PublishAsync(w.tb.Context(), Message{Target: to, Data: text(fmt.Sprintf("%d-%d-%0*d", w.run, i, size, 0))})
		if err != nil {
			w.t.Fatal(err)
		}
		sent = append(sent, p)
	}
	w.run++
	for _, p := range sent {
		r, err := p.Wait(w.tb.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		w.published = append(w.published, posted{r.Seq, to, string(p.message.Data)})
	}
}

// connect adds a session at a position that was given out at some time.
func (w *world) connect() {
	f := &follower{
		session: Target{rapid.SampledFrom(machines[1:]).Draw(w.t, "machine"), rapid.SampledFrom(accounts[1:]).Draw(w.t, "account")},
		epoch:   w.b.Epoch(),
	}
	if n := len(w.published); n > 0 {
		f.pos = w.published[rapid.IntRange(0, n-1).Draw(w.t, "position")].seq
	}
	f.start = f.pos
	w.resolve(f)
	w.readers = append(w.readers, f)
}

// step reads once: from the window if it reaches back, else from the log.
func (w *world) step(f *follower, fromLog bool) (moved bool) {
	before := f.pos
	max := rapid.SampledFrom([]int{1, 500, 10_000, 1 << 20}).Draw(w.t, "max bytes")
	entries, reached, ok := w.b.Recent(f.session, f.pos, max, nil)
	w.met.fromWindow++
	if !ok || fromLog {
		w.met.fromWindow--
		w.met.fromLog++
		r := w.b.Read(w.tb.Context(), []Request{{f.session, f.pos, max}, {Target{"other", "other"}, f.pos, max}})[0]
		if r.Err != nil {
			w.t.Fatalf("Read: %v", r.Err)
		}
		if r.Gap != 0 {
			w.gap(f, r.Gap)
		}
		entries, reached = r.Entries, r.Reached
	}
	for _, e := range entries {
		if e.Seq <= f.pos {
			w.t.Fatalf("%d came at position %d", e.Seq, f.pos)
		}
		f.got, f.pos = append(f.got, shown(e.Seq, string(e.Data()))), e.Seq
	}
	if reached < f.pos {
		w.t.Fatalf("reached %d at position %d", reached, f.pos)
	}
	f.pos = reached
	return f.pos > before
}

func (w *world) read() {
	if len(w.readers) == 0 {
		w.connect()
	}
	w.step(rapid.SampledFrom(w.readers).Draw(w.t, "session"), rapid.Bool().Draw(w.t, "from the log"))
}

// trim removes the oldest entries, as their age does.
func (w *world) trim() {
	if len(w.published) == 0 {
		return
	}
	upTo := rapid.SampledFrom(w.published).Draw(w.t, "trim").seq
	now := *w.b.lives.current.Load()
	if upTo < now.First {
		return // an earlier life's stream is purged by its own age
	}
	for _, f := range w.b.lives.all() {
		if f.gone {
			continue
		}
		stream, err := w.b.engine.js.Stream(w.tb.Context(), f.stream())
		if f.Ended && errors.Is(err, jetstream.ErrStreamNotFound) {
			continue // the broker has just removed it
		}
		if err == nil && f.Ended {
			err = stream.Purge(w.tb.Context())
		} else if err == nil {
			err = stream.Purge(w.tb.Context(), jetstream.WithPurgeSequence(upTo+1))
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	w.trimmed = max(w.trimmed, upTo)
}

func (w *world) reopen() {
	w.c.WindowBytes = rapid.SampledFrom([]int{1, 8 << 10, 64 << 20}).Draw(w.t, "window")
	switch rapid.SampledFrom([]string{"stop", "kill", "reboot"}).Draw(w.t, "how") {
	case "stop":
		w.b.stop()
	case "kill":
		w.b.crash()
	case "reboot":
		w.b.crash()
		w.c.bootID += "I"
	}
	w.openBroker()
}

// finish lets every session read to the end and compares.
func (w *world) finish() {
	w.b.upTo(w.b.end())
	for _, f := range w.readers {
		for w.step(f, false) {
		}
		w.compare(f)
	}
	w.met.messages, w.met.lives = len(w.published), len(w.b.lives.all())
	w.tb.Logf("met %+v", w.met)
}

func (w *world) compare(f *follower) {
	var want []string
	for _, p := range w.published {
		mine := p.to == Target{} || p.to.Machine != "" && p.to.Machine == f.session.Machine || p.to.Account != "" && p.to.Account == f.session.Account
		gone := slices.ContainsFunc(f.gaps, func(g [2]uint64) bool { return g[0] < p.seq && p.seq <= g[1] })
		if mine && p.seq > f.start && !gone {
			want = append(want, shown(p.seq, p.text))
		}
	}
	if !slices.Equal(f.got, want) {
		w.t.Fatalf("session %+v from %d, gaps %v:\ngot  %v\nwant %v", f.session, f.start, f.gaps, f.got, want)
	}
}

func shown(seq uint64, text string) string { return fmt.Sprintf("%d %.20s", seq, text) }

func TestEverySessionReadsExactlyItsMessages(t *testing.T) {
	// Each check starts and stops several servers.
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := flag.Set("rapid.checks", "20"); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "log")
		if err != nil {
			rt.Fatal(err)
		}
		w := &world{t: rt, tb: t, c: testConfig(dir)}
		w.c.bootID = "boot"
		w.c.WindowBytes = rapid.SampledFrom([]int{1, 8 << 10, 64 << 20}).Draw(rt, "window")
		w.c.sweepMost = rapid.SampledFrom([]int{0, 1, 7}).Draw(rt, "sweep")
		w.openBroker()
		defer func() { w.b.stop() }()
		action := func(f func()) func(*rapid.T) { return func(rt *rapid.T) { w.t = rt; f() } }
		rt.Repeat(map[string]func(*rapid.T){
			"publish": action(w.publish), "publish more": action(w.publish),
			"connect": action(w.connect), "read": action(w.read), "read more": action(w.read), "read on": action(w.read),
			"trim": action(w.trim), "reopen": action(w.reopen),
		})
		w.t = rt
		w.finish()
	})
}
