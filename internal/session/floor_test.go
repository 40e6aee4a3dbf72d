package session

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/fleetline/fleetline/internal/socket"
)

// TestTheHubFindsExactlyTheSessionsThatAreThere compares with a plain map, while sessions of a few
// machines with many sessions and of many with few come and go.
func TestTheHubFindsExactlyTheSessionsThatAreThere(t *testing.T) {
	const limit = 50
	hub := newIdleHub(t)
	there := make(map[string][]Session)
	random := rand.New(rand.NewPCG(1, 2))
	free := random.Perm(3 * chunkLength)
	generation := uint64(0)
	for range 20_000 {
		name := fmt.Sprint("m", min(random.IntN(4000), random.IntN(4000)))
		if random.IntN(3) == 0 {
			name = fmt.Sprint("busy", random.IntN(3))
		}
		mine := there[name]
		if random.IntN(5) < 2 && len(mine) > 0 {
			i := random.IntN(len(mine))
			hub.Leave(mine[i])
			free = append(free, int(mine[i].Socket().Slot()))
			there[name] = append(mine[:i:i], mine[i+1:]...)
			continue
		}
		if len(free) == 0 {
			break
		}
		generation++
		id := socket.ID(generation<<32 | uint64(free[len(free)-1]))
		s, err := hub.Enter(id, Identity{Machine: name, Account: fmt.Sprint("a", generation%7)}, limit)
		if full := len(mine) == limit; errors.Is(err, ErrTooMany) != full {
			t.Fatalf("with %d sessions, one more of %s: %v", len(mine), name, err)
		}
		if err == nil {
			free = free[:len(free)-1]
			there[name] = append(mine, s)
		}
	}
	if err := hub.Check(); err != nil {
		t.Error(err)
	}
	for name, want := range there {
		found := make(map[Session]bool)
		for _, s := range hub.OfMachine(name) {
			found[s] = true
		}
		if len(found) != len(want) || hub.Count(name) != len(want) {
			t.Errorf("%s: %d sessions are found, %d counted, want %d", name, len(found), hub.Count(name), len(want))
		}
		for _, s := range want {
			if again, ok := hub.Of(s.Socket()); !ok || again != s || !found[s] {
				t.Errorf("%s: a session is not found", name)
			}
		}
	}
}

func newIdleHub(t testing.TB) *Hub {
	hub, err := New(Config{Engine: devNull{}, Log: &shelf{}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	return hub
}

func TestASocketHasOneSession(t *testing.T) {
	hub := newIdleHub(t)
	s, err := hub.Enter(1<<32|7, Identity{Machine: "m", Account: "a"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hub.Enter(1<<32|7, Identity{Machine: "other", Account: "a"}, 0); err == nil {
		t.Error("a second session has the same socket")
	}
	if found, ok := hub.Of(1<<32 | 7); !ok || found != s {
		t.Error("a socket does not lead to its session")
	}
	for _, id := range []socket.ID{2<<32 | 7, 1<<32 | 8, 7, 8, 0} {
		if found, ok := hub.Of(id); ok {
			t.Errorf("socket %x leads to that of %x", id, found.Socket())
		}
	}
	if err := hub.Check(); err != nil {
		t.Error(err)
	}
}

func TestNoTwoSessionsHaveTheSameID(t *testing.T) {
	hub := newIdleHub(t)
	ids := make(map[string]bool)
	for i := range uint64(50_000) {
		ids[sessionID(socket.ID((1+i%5)<<32|i/5), hub.nonce)] = true
	}
	if len(ids) != 50_000 {
		t.Errorf("50,000 sockets have %d ids", len(ids))
	}
}

// A million sessions have to fit, and the garbage collector must not have to look at them.
func TestASessionIsSmallAndHoldsNoPointer(t *testing.T) {
	for _, c := range []struct {
		kind reflect.Type
		most uintptr
	}{{reflect.TypeFor[record](), 96}, {reflect.TypeFor[owner](), 76}} {
		if c.kind.Size() > c.most {
			t.Errorf("%v has %d bytes, want %d at most", c.kind, c.kind.Size(), c.most)
		}
		if at := pointerIn(c.kind); at != "" {
			t.Errorf("%v holds a pointer: %s", c.kind, at)
		}
	}
}

// pointerIn names a part of a type that is a pointer, or has one.
func pointerIn(kind reflect.Type) string {
	switch kind.Kind() {
	case reflect.Array:
		return pointerIn(kind.Elem())
	case reflect.Struct:
		for i := range kind.NumField() {
			if at := pointerIn(kind.Field(i).Type); at != "" {
				return kind.Field(i).Name + " " + at
			}
		}
		return ""
	case reflect.Pointer, reflect.String, reflect.Slice, reflect.Map, reflect.Chan, reflect.Func, reflect.Interface, reflect.UnsafePointer:
		return kind.String()
	}
	return ""
}

// All that the hub keeps of a session counts: its name, its account's, and its places in the indexes
// and on the wheel.
func TestAnIdleSessionKeepsFewBytes(t *testing.T) {
	const few, many = 20_000, 100_000
	for _, c := range []struct {
		perAccount, bound int64
	}{{100, 140}, {1, 240}} {
		hub := newIdleHub(t)
		connectMany(t, hub, 0, few, int(c.perAccount))
		before := heapInUse()
		connectMany(t, hub, few, many, int(c.perAccount))
		each := (heapInUse() - before) / (many - few)
		t.Logf("%d sessions to an account: %d bytes each", c.perAccount, each)
		if each > c.bound {
			t.Errorf("%d sessions to an account: one keeps %d bytes, want %d at most", c.perAccount, each, c.bound)
		}
		if hub.Len() != many {
			t.Errorf("%d of %d sessions are there", hub.Len(), many)
		}
	}
}
