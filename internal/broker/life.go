package broker

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// life is one life of the log: the positions First to End.
type life struct {
	Epoch string    `json:"epoch"`
	First uint64    `json:"first"`
	End   uint64    `json:"end"` // meaningful once Ended
	Ended bool      `json:"ended"`
	Began time.Time `json:"began"`
	// gone: it ended, its stream aged out and was removed.
	gone bool
}

func (l life) stream() string { return "FLEETLINE_" + l.Epoch }

func (l life) subject(what string) string { return subjectRoot + l.Epoch + "." + what }

// ownBucket keeps the installation's id and the list of lives.
const (
	ownBucket       = "FLEETLINE_log"
	keyInstallation = "installation"
	keyLives        = "lives"
	// maxLives is how many lives are remembered: a position of an older one counts as unknown.
	maxLives = 64
)

// lives is the list of the log's lives, the truth about which stream is written to. It is kept in a
// bucket and changed by compare and swap, so that two nodes cannot begin a life each.
type lives struct {
	js  jetstream.JetStream
	kv  jetstream.KeyValue
	cfg Config
	// budget is the store's; the streams of all lives share budget.log.
	budget budget

	current atomic.Pointer[life]
	// kept is what the last measuring found.
	kept atomic.Pointer[extent]

	mu sync.Mutex
	// list is guarded by mu; the last is the current life. revision is the bucket's. A new life is
	// begun under mu: whoever asks in that moment must not be told of the old one.
	list     []life
	revision uint64
}

// extent is what the streams hold.
type extent struct {
	first uint64 // oldest kept position of all lives
	last  uint64 // last position of the current life
	bytes int64  // of all lives
}

func openLives(ctx context.Context, js jetstream.JetStream, c Config, b budget) (*lives, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*apiTimeout)
	defer cancel()
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: ownBucket, Description: "the log's installation and lives", MaxBytes: b.own,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the bucket of lives: %w", err)
	}
	l := &lives{js: js, kv: kv, cfg: c, budget: b}
	return l, l.load(ctx)
}

func (l *lives) load(ctx context.Context) error {
	e, err := l.kv.Get(ctx, keyLives)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil
	} else if err != nil {
		return fmt.Errorf("reading the lives: %w", err)
	}
	if err := json.Unmarshal(e.Value(), &l.list); err != nil {
		return fmt.Errorf("reading the lives: %w", err)
	}
	l.revision = e.Revision()
	return nil
}

// installation reads the installation's id, or makes it at the first start.
func (l *lives) installation(ctx context.Context) (string, error) {
	_, err := l.kv.Create(ctx, keyInstallation, []byte(randomName()))
	if err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
		return "", fmt.Errorf("making the installation's id: %w", err)
	}
	e, err := l.kv.Get(ctx, keyInstallation)
	if err != nil {
		return "", fmt.Errorf("reading the installation's id: %w", err)
	}
	return string(e.Value()), nil
}

// newest is the life that the list ends with; ok is false if there never was one.
func (l *lives) newest() (life, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) == 0 {
		return life{}, false
	}
	return l.list[len(l.list)-1], true
}

// all is a copy of the list, oldest first.
func (l *lives) all() []life {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]life(nil), l.list...)
}

// find is the life of an epoch.
func (l *lives) find(epoch string) (life, bool) {
	for _, f := range l.all() {
		if f.Epoch == epoch {
			return f, true
		}
	}
	return life{}, false
}

// holding is the life that the entry after a position is in or will be in.
func (l *lives) holding(after uint64) life {
	for _, f := range l.all() {
		if !f.Ended || after < f.End {
			return f
		}
	}
	return *l.current.Load()
}

// resume goes on in the newest life. Its stream is made if it is missing, which is right only for a
// life that was listed and not begun: the caller has made sure.
func (l *lives) resume(ctx context.Context) error {
	now, ok := l.newest()
	if !ok {
		return l.begin(ctx, 0)
	}
	if err := l.ensureStream(ctx, now); err != nil {
		return err
	}
	l.current.Store(&now)
	return l.measure(ctx)
}

// begin ends the newest life at end and begins the next one. The order lets a crash anywhere in
// between be finished by the next start: nothing can be added to the old life before its end is
// written down, and the list names the new life before its stream exists.
func (l *lives) begin(ctx context.Context, end uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := append([]life(nil), l.list...)
	if n := len(list); n > 0 && !list[n-1].Ended {
		list[n-1].End, list[n-1].Ended = max(end, list[n-1].First-1), true
		end = list[n-1].End
	}
	now := life{Epoch: randomName(), First: end + 1, Began: time.Now()}
	list = append(list, now)
	if err := l.save(ctx, list[max(0, len(list)-maxLives):]); err != nil {
		return err
	}
	if err := l.ensureStream(ctx, now); err != nil {
		return err
	}
	l.current.Store(&now)
	l.kept.Store(&extent{first: now.First, last: end})
	return nil
}

// save is called with mu held.
func (l *lives) save(ctx context.Context, list []life) error {
	b, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("writing the lives: %w", err)
	}
	rev, err := l.kv.Update(ctx, keyLives, b, l.revision)
	if err != nil {
		return fmt.Errorf("writing the lives: %w", err)
	}
	l.list, l.revision = list, rev
	return nil
}

// randomName is 40 random bits as 8 lower-case base32 characters.
func randomName() string {
	var b [5]byte
	rand.Read(b[:]) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}
