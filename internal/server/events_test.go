package server_test

import (
	"context"
	"testing"
	"time"

	"github.com/fleetline/fleetline"
	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/fleetlinetest"
	"github.com/fleetline/fleetline/wire"
)

// machine connects one of an account.
func machine(t testing.TB, g *fleetlinetest.Gateway, key, hwid string) *fleetline.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := fleetline.Connect(ctx, g.URL, fleetline.Config{APIKey: key, Machine: fleetline.MachineInfo{HWID: hwid}})
	if err != nil {
		t.Fatalf("connecting %s: %v", hwid, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// watch reads events after an id until has says that it has seen enough.
func watch(t testing.TB, g *fleetlinetest.Gateway, after string, has func([]api.Event) bool) []api.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := g.API.Events(ctx, after)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var all []api.Event
	for !has(all) {
		ev, err := s.Next()
		if err != nil {
			t.Fatalf("reading events: %v; so far %+v", err, all)
		}
		all = append(all, ev)
	}
	return all
}

func count(n int) func([]api.Event) bool { return func(all []api.Event) bool { return len(all) >= n } }

func TestEverythingThatHappensToAMachineIsAnEventAlsoAfterARestart(t *testing.T) {
	g := fleetlinetest.Start(t)
	account, key := g.AddAccount("a")
	c := machine(t, g, key, "h1")
	id := c.Status().MachineID
	first := watch(t, g, "0", count(2))
	for i, want := range []api.EventType{api.MachineEnrolled, api.MachineConnected} {
		ev := first[i]
		if ev.Type != want || ev.MachineID != id || ev.AccountID != account || ev.Address != "127.0.0.1" || ev.ID == "" || ev.Time.IsZero() {
			t.Errorf("event %d: got %+v, want %s", i, ev, want)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	gone := watch(t, g, first[1].ID, count(1))[0]
	if gone.Type != api.MachineDisconnected || gone.SessionID != first[1].SessionID || gone.Code != int(wire.CloseNormal) || gone.Reason == "" {
		t.Errorf("after a goodbye: %+v", gone)
	}
	g.Restart()
	if again := watch(t, g, first[1].ID, count(1))[0]; again != gone {
		t.Errorf("after a restart: %+v, want %+v", again, gone)
	}
	machine(t, g, key, "h1")
	if err := g.API.DeleteMachine(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	all := watch(t, g, gone.ID, count(3))
	types := map[api.EventType]api.Event{}
	for _, ev := range all {
		types[ev.Type] = ev
		if ev.MachineID != id {
			t.Errorf("an event of %s: %+v", ev.MachineID, ev)
		}
	}
	if all[0].Type != api.MachineConnected || types[api.MachineDisconnected].Code != int(wire.CloseMachineDeleted) || types[api.MachineDeleted].ID == "" {
		t.Errorf("connected and deleted: %+v", all)
	}
}

func TestAStreamOfEventsEndsWithTheGatewayAndWithItsToken(t *testing.T) {
	t.Parallel()
	g := fleetlinetest.Start(t)
	k, err := g.API.AddToken(t.Context(), api.NewToken{Scopes: []api.Scope{api.ScopeRead}})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := api.NewClient(g.AdminURL, string(k.Secret))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ended := make(chan error, 2)
	for _, c := range []*api.Client{reader, g.API} {
		s, err := c.Events(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		go func() { // ends with the stream
			_, err := s.Next()
			ended <- err
		}()
	}
	wait := func(what string) {
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%s: an event came", what)
			}
		case <-time.After(patience):
			t.Fatalf("%s: the stream goes on", what)
		}
	}
	if err := g.API.DeleteToken(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	wait("its token was deleted")
	g.Stop()
	wait("the gateway stopped")
}
