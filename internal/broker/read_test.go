package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// belowWindow is a broker whose window holds next to nothing.
func belowWindow(t *testing.T) *heard {
	c := testConfig(t.TempDir())
	c.WindowBytes = 1
	return open(t, c)
}

func TestOneReadServesManySessionsExactly(t *testing.T) {
	b := belowWindow(t)
	before := b.publish(Message{Data: text("before")})
	const count = 300
	want := make([][]string, count)
	for i := range 4 {
		for m := range count {
			s := fmt.Sprintf("%d for m%d", i, m)
			b.publish(Message{Target: Target{Machine: fmt.Sprint("m", m)}, Data: text(s)})
			want[m] = append(want[m], string(text(s)))
		}
		for a := range 10 {
			s := fmt.Sprintf("%d for a%d", i, a)
			b.publish(Message{Target: Target{Account: fmt.Sprint("a", a)}, Data: text(s)})
			for m := a; m < count; m += 10 {
				want[m] = append(want[m], string(text(s)))
			}
		}
		s := fmt.Sprintf("%d for all", i)
		b.publish(Message{Data: text(s)})
		for m := range want {
			want[m] = append(want[m], string(text(s)))
		}
	}
	for _, maxBytes := range []int{1, 100, 1 << 20} {
		got := make([][]string, count)
		reqs := make([]Request, count)
		for m := range reqs {
			reqs[m] = Request{Target{fmt.Sprint("m", m), fmt.Sprint("a", m%10)}, before.Seq, maxBytes}
		}
		last := b.end()
		for reads := 0; slices.ContainsFunc(reqs, func(r Request) bool { return r.After < last }); reads++ {
			for m, r := range b.Read(t.Context(), reqs) {
				if r.Err != nil || r.Gap != 0 || r.Reached < reqs[m].After {
					t.Fatalf("m%d: gap %d, reached %d after %d, %v", m, r.Gap, r.Reached, reqs[m].After, r.Err)
				}
				got[m] = append(got[m], datas(r.Entries)...)
				reqs[m].After = r.Reached
			}
			if reads > 100 {
				t.Fatal("it does not get on")
			}
		}
		for m := range got {
			if !slices.Equal(got[m], want[m]) {
				t.Fatalf("%d bytes at a time: m%d got %q, want %q", maxBytes, m, got[m], want[m])
			}
		}
	}
}

func TestMoreSubjectsThanOneQuestionTakesAreRead(t *testing.T) {
	b := belowWindow(t)
	before := b.publish(Message{Data: text("before")})
	const count = 2500
	var line []*Pending
	for m := range count {
		p, err := b.PublishAsync(t.Context(), Message{Target: Target{Machine: fmt.Sprint("m", m)}, Data: text(strings.Repeat("x", 3000))})
		if err != nil {
			t.Fatal(err)
		}
		line = append(line, p)
	}
	for _, p := range line {
		if _, err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	reqs := make([]Request, count)
	for m := range reqs {
		reqs[m] = Request{Target{Machine: fmt.Sprint("m", m)}, before.Seq, 1}
	}
	var got []Result
	eventually(t, "the log to answer, which a busy machine may keep from it", func() bool {
		got = b.Read(t.Context(), reqs)
		return !slices.ContainsFunc(got, func(r Result) bool { return errors.Is(r.Err, ErrUnavailable) })
	})
	for m, r := range got {
		if r.Err != nil || len(r.Entries) != 1 || r.Entries[0].Target.Machine != fmt.Sprint("m", m) {
			t.Fatalf("m%d: got %d entries, %v", m, len(r.Entries), r.Err)
		}
	}
}

func TestHistoryGivesThePagesOfAMachine(t *testing.T) {
	b := belowWindow(t)
	for i := range 25 {
		to := []Target{{Machine: "m"}, {Account: "a"}, {}, {Machine: "other"}, {Account: "other"}}[i%5]
		b.publish(Message{Target: to, Data: text(fmt.Sprint(i)), ID: fmt.Sprint("id", i)})
	}
	var got []string
	for after, pages := uint64(0), 0; ; pages++ {
		entries, reached, err := b.History(t.Context(), "m", "a", after, 4)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			got = append(got, e.ID)
			if time.Since(e.At) > time.Minute || e.Seq <= after || e.Seq > reached {
				t.Errorf("%s: at %v, position %d after %d, reached %d", e.ID, e.At, e.Seq, after, reached)
			}
		}
		after = reached
	}
	var want []string
	for i := range 25 {
		if i%5 < 3 {
			want = append(want, fmt.Sprint("id", i))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// replicas stand in for a stream of a cluster: each question is answered by the next one, and they
// have got differently far.
type replicas struct {
	entries []record
	got     []int // entries each answer's replica has; the last one goes on answering
	asked   atomic.Int64
}

func (r *replicas) answer(m *nats.Msg) {
	n := int(r.asked.Add(1)) - 1
	have := r.entries[:r.got[min(n, len(r.got)-1)]]
	var q question
	_ = json.Unmarshal(m.Data, &q)
	reply := func(h nats.Header, data []byte) { _ = m.RespondMsg(&nats.Msg{Header: h, Data: data}) }
	sent := 0
	for i, e := range have {
		isLast := !slices.ContainsFunc(have[i+1:], func(o record) bool { return o.subject == e.subject })
		wanted := q.NextFor == e.subject || slices.Contains(q.LastFor, e.subject) && isLast || q.NextFor == "" && q.LastFor == nil
		if e.seq >= q.Seq && wanted {
			sent++
			reply(nats.Header{
				"Nats-Subject": {e.subject}, "Nats-Sequence": {fmt.Sprint(e.seq)}, "Nats-Time-Stamp": {time.Now().Format(time.RFC3339Nano)},
			}, e.data)
		}
	}
	if sent == 0 && q.LastFor == nil {
		reply(nats.Header{"Status": {"404"}}, nil)
		return
	}
	reply(nats.Header{"Status": {"204"}, "Nats-Num-Pending": {"0"}, "Nats-UpTo-Sequence": {fmt.Sprint(len(have))}}, nil)
}

func TestAReplicaThatLagsIsAskedAgain(t *testing.T) {
	b := belowWindow(t)
	f := life{Epoch: "replicas"}
	all := &replicas{}
	for i := range 10 {
		what := Target{Machine: "m"}.suffix()
		if i%5 == 4 {
			what = prefixLease + encodeID("node-a")
		}
		all.entries = append(all.entries, record{subject: f.subject(what), seq: uint64(i + 1), data: text(fmt.Sprint(i + 1))})
	}
	sub, err := b.engine.tail.Subscribe("$JS.API.DIRECT.GET."+f.stream(), all.answer)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.engine.tail.Flush(); err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	for _, floor := range []uint64{0, 9} {
		for _, got := range [][]int{{10}, {5, 10}, {10, 5, 10}, {10, 3, 5, 3, 10}, {10, 0, 0, 10}, {2, 4, 6, 8, 10}} {
			all.asked.Store(0)
			all.got = got
			b.window.mu.Lock()
			b.window.floor = floor
			b.window.mu.Unlock()
			res := make([]Result, 1)
			r := &reading{b: b.Broker, life: f, subjects: make(map[string]*strand)}
			if err := r.run(t.Context(), []Request{{Target{Machine: "m"}, 1, 1 << 20}}, []int{0}, res); err != nil {
				t.Fatalf("replicas at %v: %v", got, err)
			}
			var want []string
			for seq := uint64(2); seq <= res[0].Reached; seq++ {
				if seq%5 != 0 {
					want = append(want, string(text(fmt.Sprint(seq))))
				}
			}
			if !slices.Equal(datas(res[0].Entries), want) || res[0].Reached < floor {
				t.Errorf("replicas at %v, window from %d: reached %d with %v", got, floor, res[0].Reached, datas(res[0].Entries))
			}
		}
	}
}
