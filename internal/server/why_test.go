package server_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fleetline/fleetline"
	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/fleetlinetest"
	"github.com/fleetline/fleetline/wire"
)

// whyUntil asks until the answer is what is waited for.
func whyUntil(t testing.TB, g *fleetlinetest.Gateway, id, what string, is func(api.Why) bool) api.Why {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		w, err := g.API.Why(ctx, id)
		if err == nil && is(w) {
			return w
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited for: %s; got %+v, %v", what, w, err)
		}
	}
}

func TestWhySaysHowAMachineStandsAndItsEndsOutliveARestart(t *testing.T) {
	g := fleetlinetest.Start(t)
	account, key := g.AddAccount("a")
	c := machine(t, g, key, "h1")
	id := c.Status().MachineID
	receipt := g.Publish(api.Target{Machine: id}, "1")
	if _, err := c.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := whyUntil(t, g, id, "the position", func(w api.Why) bool { return w.Position >= receipt.Seq })
	if w.Standing != api.StandingOnline || w.AccountID != account || len(w.Sessions) != 1 || w.Sessions[0].Address != "127.0.0.1" ||
		w.Sessions[0].Node == "" || w.Sessions[0].Since.IsZero() || w.Waiting != 0 || w.CloneSuspected || w.Because == "" {
		t.Errorf("online: %+v", w)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	whyUntil(t, g, id, "the end", func(w api.Why) bool { return len(w.Ends) == 1 })
	for range 11 {
		_ = machine(t, g, key, "h1").Close()
	}
	w = whyUntil(t, g, id, "ten ends and nobody online", func(w api.Why) bool { return len(w.Ends) == 10 && len(w.Sessions) == 0 })
	for range 3 {
		g.Publish(api.Target{Account: account}, "2")
	}
	g.Restart()
	w = whyUntil(t, g, id, "what waits", func(w api.Why) bool { return w.Waiting == 3 })
	if w.Standing != api.StandingOffline || len(w.Ends) != 10 || w.Ends[0].Code != int(wire.CloseNormal) || w.Ends[0].Reason == "" ||
		w.Ends[0].Address != "127.0.0.1" || w.Ends[0].Time.Before(w.Ends[9].Time) || w.KeptSince.IsZero() {
		t.Errorf("offline, after a restart: %+v", w)
	}
	if err := g.API.DeleteMachine(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if w, err := g.API.Why(t.Context(), id); err != nil || w.Standing != api.StandingDeleted || w.DeletedAt.IsZero() || len(w.Ends) != 10 {
		t.Errorf("deleted: %+v, %v", w, err)
	}
	if _, err := g.API.Why(t.Context(), "mch_nobody"); !errors.Is(err, api.CodeMachineNotFound) {
		t.Errorf("nobody: %v", err)
	}
}

func TestTwoLiveSessionsFromDifferentBootsAreSuspectedAndFromTheSameAreNot(t *testing.T) {
	t.Parallel()
	g := fleetlinetest.StartWith(t, fleetlinetest.Config{Heartbeat: time.Second})
	_, key := g.AddAccount("a")
	from := func(hwid, boot string) *fleetline.Client {
		c, err := fleetline.Connect(t.Context(), g.URL, fleetline.Config{APIKey: key, Machine: fleetline.MachineInfo{HWID: hwid, BootID: boot}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	same := from("same", "boot")
	from("same", "boot")
	one := from("cloned", "here")
	from("cloned", "there")
	all := watch(t, g, "0", func(all []api.Event) bool {
		return len(all) > 0 && all[len(all)-1].Type == api.MachineCloneSuspected
	})
	if ev := all[len(all)-1]; ev.MachineID != one.Status().MachineID || ev.SessionID == "" || ev.Reason == "" {
		t.Errorf("got %+v", ev)
	}
	if w, err := g.API.Why(t.Context(), one.Status().MachineID); err != nil || !w.CloneSuspected || len(w.Sessions) != 2 {
		t.Errorf("why: %+v, %v", w, err)
	}
	if w, err := g.API.Why(t.Context(), same.Status().MachineID); err != nil || w.CloneSuspected || len(w.Sessions) != 2 {
		t.Errorf("two sessions of one boot: %+v, %v", w, err)
	}
	_ = one.Close()
	whyUntil(t, g, all[len(all)-1].MachineID, "the end of the suspicion", func(w api.Why) bool { return !w.CloneSuspected })
}
