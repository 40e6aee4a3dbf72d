package socket_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fleetline/fleetline/internal/socket"
)

// ways are how frames can be handed to many.
var ways = []struct {
	name string
	cfg  socket.Config
	send func(socket.Engine, []socket.Shot)
}{
	{"call by call", socket.Config{}, sendEach},
	{"at once", socket.Config{}, socket.SendAll},
	{"at once, one by one", socket.Config{OneByOne: true}, socket.SendAll},
}

func sendEach(e socket.Engine, shots []socket.Shot) {
	for i := range shots {
		shots[i].Taken = e.SendMany(shots[i].ID, shots[i].Burst.Frames)
	}
}

// member is a connection of a fleet, and what is known of it.
type member struct {
	id      socket.ID
	far     farEnd
	stopped bool // reads rarely
	left    bool // gone, or told to go
	taken   []string
	drained atomic.Int64
	before  int64 // calls of Drained before the latest shots
	due     int64 // calls of Drained by now, at least
}

// fleet is healthy, stopped, gone and leaving members of one engine, with little budget.
type fleet struct {
	*rig
	registry *prometheus.Registry
	members  []*member
	byID     sync.Map // ID to *member
	random   *rand.Rand
	shot     int
	frames   int // taken
	refusals int
}

func newFleet(t *testing.T, cfg socket.Config, seed uint64) *fleet {
	cfg.MaxQueued, cfg.Registerer = 150<<10, prometheus.NewRegistry()
	f := &fleet{registry: cfg.Registerer.(*prometheus.Registry), random: rand.New(rand.NewPCG(seed, 1))}
	f.rig = newRig(t, "native", cfg)
	f.recorder.onDrained = func(id socket.ID) {
		if m, ok := f.byID.Load(id); ok {
			m.(*member).drained.Add(1)
		}
	}
	f.recorder.onClosed = func(socket.ID, socket.Closure) {}
	for i := range 100 {
		m := &member{stopped: i%5 == 0}
		m.id, m.far = f.open(t)
		f.members = append(f.members, m)
		f.byID.Store(m.id, m)
	}
	return f
}

// volley makes shots for random members, some of them again and again.
func (f *fleet) volley() (shots []socket.Shot, to []*member) {
	for _, m := range f.members {
		m.before = m.drained.Load()
	}
	for range 1 + f.random.IntN(300) {
		m := f.members[f.random.IntN(len(f.members))]
		if f.random.IntN(3) == 0 && len(to) > 0 {
			m = to[len(to)-1]
		}
		f.shot++
		size := f.random.IntN(300)
		if m.stopped {
			size = 1000 + f.random.IntN(3000)
			if f.random.IntN(50) == 0 {
				size = 100 << 10
			}
		}
		parts := make([]string, 1+f.random.IntN(4))
		for i := range parts {
			parts[i] = fmt.Sprintf("%d %d ", f.shot, i) + big(size/len(parts))
		}
		shots, to = append(shots, socket.Shot{ID: m.id, Burst: burst(parts...)}), append(to, m)
	}
	return shots, to
}

func (f *fleet) judge(t *testing.T, shots []socket.Shot, to []*member) {
	for i, s := range shots {
		m := to[i]
		for _, p := range s.Burst.Frames[:s.Taken] {
			m.taken = append(m.taken, string(p.Payload()))
		}
		f.frames += s.Taken
		switch {
		case s.Taken > 0 && m.left:
			t.Fatalf("shot %d: taken by a connection that is leaving", i)
		case s.Taken == len(s.Burst.Frames) || m.left:
		case !m.stopped:
			t.Fatalf("shot %d: %d frames of %d were taken though the peer reads", i, s.Taken, len(s.Burst.Frames))
		default:
			m.due = m.before + 1
			f.refusals++
		}
	}
}

// readAll has healthy members take what they have been sent.
func (f *fleet) readAll(t *testing.T, who func(*member) bool) {
	for _, m := range f.members {
		if !who(m) {
			continue
		}
		for _, want := range m.taken {
			if got := m.far.read(t); got != want {
				t.Fatalf("peer read %.20q in %d bytes, want %.20q in %d", got, len(got), want, len(want))
			}
		}
		m.taken = nil
	}
}

// lose has a healthy member leave, by either end.
func (f *fleet) lose() {
	m := f.members[f.random.IntN(len(f.members))]
	if m.stopped || m.left {
		return
	}
	m.left = true
	f.engine.End(m.id, nil, 4000, "round")
	if f.random.IntN(2) == 0 {
		m.far.drop()
	}
}

func TestManyAtOnceAreSentExactlyWhatSendSends(t *testing.T) {
	seed := rand.Uint64()
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			f := newFleet(t, way.cfg, seed)
			for range 60 {
				shots, to := f.volley()
				way.send(f.engine, shots)
				f.judge(t, shots, to)
				patient := f.random.IntN(10) == 0
				f.readAll(t, func(m *member) bool { return !m.left && (patient || !m.stopped) })
				f.lose()
			}
			if f.refusals == 0 {
				t.Error("no stopped peer was refused anything")
			}
			f.readAll(t, func(m *member) bool { return m.stopped })
			f.settle(t)
			if t.Failed() {
				t.Logf("seed %d", seed)
			}
		})
	}
}

func TestManyLargeFramesAtOnceKeepTheBudget(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			way.cfg.MaxQueued = 2 << 20
			b := newRig(t, "native", way.cfg)
			shots, taken := make([]socket.Shot, 10), 0
			for i := range shots {
				id, _ := b.open(t)
				shots[i] = socket.Shot{ID: id, Burst: burst(big(1 << 20))}
			}
			way.send(b.engine, shots)
			for _, s := range shots {
				taken += s.Taken
			}
			if taken < 2 || taken > 4 {
				t.Errorf("%d frames of 1 MiB were taken with a budget of 2 MiB", taken)
			}
		})
	}
}

// settle wants the promised calls of Drained, and the counters to agree.
func (f *fleet) settle(t *testing.T) {
	for _, m := range f.members {
		for began := time.Now(); m.drained.Load() < m.due; runtime.Gosched() {
			if time.Since(began) > patience {
				t.Fatal("refused, and nothing drained")
			}
		}
	}
	got := gather(t, f.registry)
	if n := int(got["sent_frames_total"]); n != f.frames {
		t.Errorf("%d frames are counted, want %d", n, f.frames)
	}
	if n := int(got["refused_sends_total"]); n != f.refusals {
		t.Errorf("%d refusals are counted, want %d", n, f.refusals)
	}
}
