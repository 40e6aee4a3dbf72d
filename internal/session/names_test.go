package session

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/wire"
)

// A socket's slot is used again, and a goodbye may be late: it must not reach the next machine.
func TestTheNameOfASessionThatHasLeftReachesNobody(t *testing.T) {
	hub := newIdleHub(t)
	old, err := hub.Enter(1<<32|7, Identity{Machine: "old", Account: "a"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	old.Start(hello, 5, time.Time{})
	old.End(nil, Ending{wire.CloseRestart, "drain"})
	if was, ok := hub.Leave(old); !ok || was.Machine != "old" || was.Account != "a" || was.Position != 5 || was.Why.Reason != "drain" {
		t.Errorf("the session that left was %+v (%v)", was, ok)
	}
	next, err := hub.Enter(2<<32|7, Identity{Machine: "next", Account: "b", Bare: true}, 0)
	if err != nil {
		t.Fatal(err)
	}
	old.Cut()
	old.Start(hello, 9, time.Time{})
	old.Drained()
	if old.End(nil, Ending{wire.CloseMachineDeleted, "machine_deleted"}) || old.Send(hello) || old.Over() != 0 || old.IsBare() || !old.IsCut() {
		t.Error("something is done to a session that has left")
	}
	if _, ok := hub.Leave(old); ok {
		t.Error("it leaves twice")
	}
	if _, ok := old.Identity(); ok {
		t.Error("it is still somebody's")
	}
	if _, ok := old.State(); ok {
		t.Error("it still has a state")
	}
	st, ok := next.State()
	if !ok || st.Machine != "next" || st.Ended || next.IsCut() || st.Position != 0 || next.Over() != 1 {
		t.Errorf("the next session is %+v (%v)", st, ok)
	}
	if err := hub.Check(); err != nil || hub.Len() != 1 {
		t.Error(hub.Len(), err)
	}
}

// Whoever is found by name while its place is given to others is ended itself or nobody.
func TestPlacesAreUsedAgainUnderLoadAndNobodyIsMistaken(t *testing.T) {
	hub := newIdleHub(t)
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() { // ends with stop
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, s := range hub.OfMachine("guilty") {
				s.End(nil, Ending{wire.CloseMachineDeleted, "machine_deleted"})
			}
			for _, to := range []Target{{}, {Account: "g"}, {Machine: "innocent"}} {
				hub.Deliver(to, newMessage(0, to))
			}
		}
	})
	var fleet sync.WaitGroup
	for slot := range socket.ID(4) {
		fleet.Go(func() { // ends by itself
			for generation := socket.ID(1); generation < 3000; generation++ {
				name := [...]string{"guilty", "innocent", strings.Repeat("long", 20)}[generation%3]
				s, err := hub.Enter(generation<<32|slot, Identity{Machine: name, Account: name[:1], Key: [32]byte{byte(generation % 2)}}, 0)
				if err != nil {
					t.Error(err)
					return
				}
				s.Start(hello, hub.Begun(), time.Time{})
				if was, ok := hub.Leave(s); !ok || was.Machine != name || was.Account != name[:1] || was.Ended && name != "guilty" {
					t.Errorf("%s left as %+v (%v)", name, was, ok)
				}
			}
		})
	}
	fleet.Wait()
	close(stop)
	others.Wait()
	if err := hub.Check(); err != nil || hub.Len() != 0 {
		t.Error(hub.Len(), err)
	}
}

func TestWhatLiesBesideTheRecordsIsForgottenWithThem(t *testing.T) {
	hub := newIdleHub(t)
	floor := hub.everyone
	for round := range socket.ID(3) {
		var all []Session
		for i := range 100 {
			long := fmt.Sprint(strings.Repeat("x", nameRoom+1), i)
			s, err := hub.Enter((round+1)<<32|socket.ID(i), Identity{Machine: long, Account: long[1:]}, 1)
			if err != nil {
				t.Fatal(err)
			}
			s.End(nil, Ending{wire.CloseRestart, "drain"})
			all = append(all, s)
			if _, err := hub.Enter(9<<32|1000, Identity{Machine: long, Account: long}, 1); !errors.Is(err, ErrTooMany) {
				t.Errorf("a second session of a machine that may have one: %v", err)
			}
			if found := hub.OfMachine(long); len(found) != 1 || found[0] != s || hub.OfAccount(long[1:])[0] != s {
				t.Errorf("%s is not found", long)
			}
		}
		if len(floor.names.long) != 200 || len(floor.endings.reasons) != 100 {
			t.Errorf("%d names and %d endings are kept", len(floor.names.long), len(floor.endings.reasons))
		}
		for _, s := range all {
			hub.Leave(s)
		}
		if len(floor.names.long) != 0 || len(floor.endings.reasons) != 0 || len(floor.owners.free) != int(floor.owners.last) {
			t.Errorf("%d names, %d endings and %d owners are left", len(floor.names.long), len(floor.endings.reasons), int(floor.owners.last)-len(floor.owners.free))
		}
	}
	if n := floor.owners.last; n > 101 {
		t.Errorf("100 owners at a time have had %d numbers", n)
	}
}

func TestSessionsOfAnAccountShareTheirOwnerAsLongAsTheirKeyIsTheSame(t *testing.T) {
	hub := newIdleHub(t)
	for i := range 30 {
		who := Identity{Machine: fmt.Sprint("m", i), Account: "a", Key: [32]byte{byte(i / 10)}}
		s, err := hub.Enter(1<<32|socket.ID(i), who, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := s.Identity(); !ok || got != who {
			t.Errorf("session %d is of %v, want %v", i, got, who)
		}
	}
	if n := hub.everyone.owners.last; n != 3 {
		t.Errorf("an account with 3 keys has %d owners", n)
	}
	if keys := hub.Keys("a"); len(keys) != 3 {
		t.Errorf("%d keys are found, want 3", len(keys))
	}
	if keys := hub.Keys("b"); len(keys) != 0 {
		t.Errorf("nobody's account has %d keys", len(keys))
	}
}
