package fleetline_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/fleetline/fleetline"
	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/fleetlinetest"
)

func TestAMachineLivesThroughRestartsOfBothEndsUntilItIsDeleted(t *testing.T) {
	g := fleetlinetest.Start(t)
	account, key := g.AddAccount("sdk")
	cfg := fleetline.Config{APIKey: key, State: new(fleetline.MemoryState), OnGap: func(g fleetline.Gap) { t.Errorf("told of the gap %+v", g) }}
	connect := func() *fleetline.Client {
		c, err := fleetline.Connect(t.Context(), g.URL, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	expect := func(c *fleetline.Client, want int) {
		t.Helper()
		if msg, err := c.Next(t.Context()); err != nil || string(msg.Data) != fmt.Sprint(want) {
			t.Fatalf("got %s, %v, want %d", msg.Data, err, want)
		}
	}

	c := connect()
	machine := c.Status().MachineID
	for n := range 5 {
		g.Publish(api.Target{Account: account}, fmt.Sprint(n))
	}
	for n := range 5 {
		expect(c, n)
	}
	g.Restart()
	g.Publish(api.Target{Machine: machine}, "5")
	expect(c, 5) // and 5 stays in hand
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	g.Publish(api.Target{All: true}, "6")
	c = connect()
	expect(c, 5)
	expect(c, 6)
	if got := c.Status().MachineID; got != machine {
		t.Errorf("it came back as %s, was %s", got, machine)
	}

	if err := g.API.DeleteMachine(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(t.Context()); !errors.Is(err, fleetline.ErrMachineDeleted) {
		t.Errorf("after the deletion: %v", err)
	}
	_ = c.Close()
	if _, err := fleetline.Connect(t.Context(), g.URL, cfg); !errors.Is(err, fleetline.ErrMachineDeleted) {
		t.Errorf("the next start: %v", err)
	}
	cfg.State = new(fleetline.MemoryState) // a new installation with the same key is another machine
	c = connect()
	if got := c.Status().MachineID; got == machine {
		t.Errorf("a new installation is the deleted machine %s", got)
	}
	_ = c.Close()
}

// A machine that is killed in its first second comes back with where it began.
func TestWhereAMachineBeganIsKeptBeforeAnythingComes(t *testing.T) {
	gateway := startGateway()
	t.Cleanup(gateway.Close)
	state := new(fleetline.MemoryState)
	client, err := fleetline.Connect(t.Context(), gateway.URL, fleetline.Config{APIKey: "flk_test", State: state})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	kept, err := state.Load()
	if err != nil || kept.Position.Epoch != "e1" || kept.MachineID != "mch_1" {
		t.Errorf("kept %+v, %v", kept.Position, err)
	}
}
