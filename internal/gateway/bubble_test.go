package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/internal/broker"
	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/session"
	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/internal/token"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quietLog is a log without messages, in fake time.
type quietLog struct {
	mu      sync.Mutex
	deaf    time.Time // when it was last heard; zero: now
	entries chan *broker.Entry
}

func (l *quietLog) Epoch() string                         { return "epoch" }
func (l *quietLog) Last() uint64                          { return 0 }
func (l *quietLog) Resolve(string, uint64) (uint64, bool) { return 0, true }

func (l *quietLog) Heard() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deaf.IsZero() {
		return time.Now()
	}
	return l.deaf
}

func (l *quietLog) goDeaf() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = time.Now()
}

func (l *quietLog) Tail(ctx context.Context, f func(*broker.Entry)) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-l.entries:
			f(e)
		}
	}
}

func (l *quietLog) Recent(dst []session.Message, _ session.Target, after uint64, _ int) ([]session.Message, uint64, bool) {
	return dst, after, true
}

func (l *quietLog) Read(context.Context, []session.Request) []session.Result { return nil }

// ledger keeps revocations, and can fail.
type ledger struct {
	mu    sync.Mutex
	fail  bool
	kept  []broker.Revocation
	tries int
}

func (l *ledger) Revoke(_ context.Context, r broker.Revocation) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tries++
	if l.fail {
		return errors.New("the log does not answer")
	}
	l.kept = append(l.kept, r)
	return nil
}

func (l *ledger) Revocations(context.Context) ([]broker.Revocation, error) { return nil, nil }

// rows is a directory in memory that can be slow, silent or wrong: it stands for a database that
// fails.
type rows struct {
	mu       sync.Mutex
	accounts map[string]directory.Account
	machines map[string]directory.Machine
	outage   bool
	hold     chan struct{} // a lookup waits for it to close
	slow     chan struct{} // and a check for this
	lookups  int           // how often keys were looked up
	checks   [][]string    // the ids of each check of accounts
	buried   []string      // accounts whose machines were deleted
	news     [2]chan directory.Event
}

func newRows() *rows {
	return &rows{
		accounts: make(map[string]directory.Account), machines: make(map[string]directory.Machine),
		news: [2]chan directory.Event{make(chan directory.Event), make(chan directory.Event)},
	}
}

func (r *rows) add(account, key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accounts[account] = directory.Account{ID: account, Digests: []directory.Digest{directory.Key(key).Digest()}}
}

func (r *rows) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

type accountRows struct{ *rows }

func (r accountRows) Lookup(ctx context.Context, keys []directory.Key) []directory.AccountAnswer {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lookups++
	answers := make([]directory.AccountAnswer, len(keys))
	for i, k := range keys {
		if r.outage {
			continue
		}
		answers[i].Verdict = directory.NotFound
		for _, a := range r.accounts {
			if a.Opens(k.Digest()) {
				answers[i] = directory.AccountAnswer{Verdict: directory.Found, Account: a}
			}
		}
	}
	if !r.waitLocked(ctx, r.hold) {
		return make([]directory.AccountAnswer, len(keys))
	}
	return answers
}

// waitLocked is how long an answer is on its way after the rows were read; false if it never came.
func (r *rows) waitLocked(ctx context.Context, hold chan struct{}) bool {
	if hold == nil {
		return true
	}
	r.mu.Unlock()
	defer r.mu.Lock()
	select {
	case <-hold:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r accountRows) Check(ctx context.Context, ids []string) []directory.AccountAnswer {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks = append(r.checks, ids)
	answers := make([]directory.AccountAnswer, len(ids))
	for i, id := range ids {
		if r.outage {
			continue
		}
		answers[i].Verdict = directory.NotFound
		if a, ok := r.accounts[id]; ok {
			answers[i] = directory.AccountAnswer{Verdict: directory.Found, Account: a}
		}
	}
	if !r.waitLocked(ctx, r.slow) {
		return make([]directory.AccountAnswer, len(ids))
	}
	return answers
}

func (r accountRows) Watch(ctx context.Context, report func(directory.Event)) error {
	return r.watch(ctx, 0, report)
}

type machineRows struct{ *rows }

func (r machineRows) Enrol(_ context.Context, wanted []directory.Enrolment) []directory.MachineAnswer {
	r.mu.Lock()
	defer r.mu.Unlock()
	answers := make([]directory.MachineAnswer, len(wanted))
	for i, e := range wanted {
		if r.outage {
			continue
		}
		id := "m-" + e.AccountID
		if e.Info != nil {
			id += "-" + e.Info.HWID
		}
		m := directory.Machine{ID: id, AccountID: e.AccountID, Default: e.Info == nil}
		r.machines[id] = m
		answers[i] = directory.MachineAnswer{Verdict: directory.Found, Machine: m}
	}
	return answers
}

func (r machineRows) Check(_ context.Context, ids []string) []directory.MachineAnswer {
	r.mu.Lock()
	defer r.mu.Unlock()
	answers := make([]directory.MachineAnswer, len(ids))
	for i, id := range ids {
		if r.outage {
			continue
		}
		answers[i].Verdict = directory.NotFound
		if m, ok := r.machines[id]; ok {
			answers[i] = directory.MachineAnswer{Verdict: directory.Found, Machine: m}
		}
	}
	return answers
}

func (r machineRows) Seen(context.Context, []directory.Seen) error { return nil }

func (r machineRows) DeleteAll(_ context.Context, account string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outage {
		return directory.ErrUnavailable
	}
	r.buried = append(r.buried, account)
	return nil
}

func (r machineRows) Watch(ctx context.Context, report func(directory.Event)) error {
	return r.watch(ctx, 1, report)
}

func (r *rows) watch(ctx context.Context, which int, report func(directory.Event)) error {
	report(directory.Event{Kind: directory.Live})
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-r.news[which]:
			report(e)
		}
	}
}

// site is a gateway on the memory engine, in a bubble of fake time.
type site struct {
	t       *testing.T
	g       *Gateway
	engine  *socket.Memory
	rows    *rows
	journal *quietLog
	ledger  *ledger
	tokens  *token.Signer
}

const secret = "0f8fad5b-d9cb-469f-a165-70867728950e-7c9e6679"

// inSite runs f beside a gateway that is ready.
func inSite(t *testing.T, f func(s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &site{t: t, rows: newRows(), journal: &quietLog{entries: make(chan *broker.Entry)}, ledger: &ledger{}}
		var err error
		if s.tokens, err = token.New(token.Config{Secret: token.Secret(secret), Installation: "test"}); err != nil {
			t.Fatal(err)
		}
		s.g, err = New(Config{
			Log: s.journal, Revocations: s.ledger, Reader: s.journal, Accounts: accountRows{s.rows}, Machines: machineRows{s.rows},
			Tokens: s.tokens, Logger: slog.New(slog.DiscardHandler),
			NewEngine: func(h socket.Handler) (socket.Engine, error) {
				s.engine = socket.NewMemory(socket.Config{Handler: h})
				return s.engine, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.rows.add("a", "key-a")
		ctx, stop := context.WithCancel(t.Context())
		ready, done := make(chan struct{}), make(chan error)
		go func() { done <- s.g.Run(ctx, func() { close(ready) }) }()
		<-ready
		f(s)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func (s *site) dial() *socket.MemoryPeer {
	return s.engine.Dial(socket.Peer{Addr: netip.MustParseAddr("192.0.2.1")})
}

// say sends a frame and waits until the gateway has done all it does at once.
func (s *site) say(p *socket.MemoryPeer, frame string) {
	_ = p.WriteText([]byte(frame)) // a closed connection shows in what is read
	synctest.Wait()
}

// login authenticates and returns the auth_success frame.
func (s *site) login(p *socket.MemoryPeer, auth string) map[string]any {
	s.t.Helper()
	s.say(p, auth)
	f := s.frame(p)
	if f["type"] != "auth_success" {
		s.t.Fatalf("%s was answered with %v", auth, f)
	}
	return f
}

func (s *site) frame(p *socket.MemoryPeer) map[string]any {
	s.t.Helper()
	b, ok := p.Next()
	if !ok {
		how, _ := p.Closure()
		s.t.Fatalf("no frame came; closed %d %q", how.Code, how.Reason)
	}
	var f map[string]any
	if err := json.Unmarshal(b, &f); err != nil {
		s.t.Fatalf("frame %s: %v", b, err)
	}
	return f
}

// wantEnd checks the last frame and the close.
func (s *site) wantEnd(p *socket.MemoryPeer, frame string, code uint16) {
	s.t.Helper()
	synctest.Wait()
	var last string
	for b, ok := p.Next(); ok; b, ok = p.Next() {
		last = string(b)
	}
	how, closed := p.Closure()
	if !strings.HasPrefix(last, frame) || frame == "" && last != "" {
		s.t.Errorf("the last frame was %s, want %s", last, frame)
	}
	if !closed || how.Code != code {
		s.t.Errorf("closed %v with %d %q, want %d", closed, how.Code, how.Reason, code)
	}
}

func (s *site) wantOpen(p *socket.MemoryPeer) {
	s.t.Helper()
	synctest.Wait()
	if how, closed := p.Closure(); closed {
		s.t.Errorf("closed with %d %q, want open", how.Code, how.Reason)
	}
}

func auth(key string) string { return fmt.Sprintf(`{"type":"auth","apiKey":%q}`, key) }

func authV1(key, hwid string) string {
	return fmt.Sprintf(`{"type":"auth","apiKey":%q,"v":1,"machine":{"hwid":%q}}`, key, hwid)
}

const deletedFrameText = `{"type":"machine_deleted","message":"Your machine has been deleted. Please re-authenticate."}`
