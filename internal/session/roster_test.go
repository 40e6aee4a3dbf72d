package session

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/fleetline/fleetline/internal/socket"
)

// TestTheHubFindsExactlyTheSessionsThatAreThere compares with a plain map, while sessions of a few
// machines with many sessions and of many with few come and go.
func TestTheHubFindsExactlyTheSessionsThatAreThere(t *testing.T) {
	const limit = 50
	hub := newIdleHub(t)
	there := make(map[string][]*Session)
	random := rand.New(rand.NewPCG(1, 2))
	free := random.Perm(3 * floorSlots)
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
			free = append(free, int(mine[i].socket.Slot()))
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
		found := make(map[*Session]bool)
		for _, s := range hub.OfMachine(name) {
			found[s] = true
		}
		if len(found) != len(want) || hub.Count(name) != len(want) {
			t.Errorf("%s: %d sessions are found, %d counted, want %d", name, len(found), hub.Count(name), len(want))
		}
		for _, s := range want {
			if !found[s] || hub.Of(s.socket) != s {
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
	if hub.Of(1<<32|7) != s || hub.Of(2<<32|7) != nil || hub.Of(1<<32|8) != nil || hub.Len() != 1 {
		t.Error("a socket leads to another session than its own")
	}
	if err := hub.Check(); err != nil {
		t.Error(err)
	}
}

func TestNoTwoSessionsHaveTheSameID(t *testing.T) {
	hub := newIdleHub(t)
	ids := make(map[string]bool)
	for i := range uint64(50_000) {
		ids[hub.sessionID(socket.ID((1+i%5)<<32|i/5))] = true
	}
	if len(ids) != 50_000 {
		t.Errorf("50,000 sockets have %d ids", len(ids))
	}
}

// A session is as large as it was made to be: a field more takes it to the allocator's next size.
func TestASessionIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Session{}); size > 96 {
		t.Errorf("a session has %d bytes, more than the 96 that the allocator gives it", size)
	}
}

// A million sessions have to fit: what one keeps of the heap, beside its name, has a bound.
func TestAnIdleSessionKeepsFewBytes(t *testing.T) {
	const few, many, bound = 5_000, 25_000, 250
	hub := newIdleHub(t)
	connectMany(t, hub, 0, few)
	before := heapInUse()
	connectMany(t, hub, few, many)
	if each := (heapInUse() - before) / (many - few); each > bound {
		t.Errorf("a session keeps %d bytes, want %d at most", each, bound)
	}
	if hub.Len() != many {
		t.Errorf("%d of %d sessions are there", hub.Len(), many)
	}
}
