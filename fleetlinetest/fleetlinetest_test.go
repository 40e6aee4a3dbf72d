package fleetlinetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/fleetline/fleetline"
	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/fleetlinetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAGatewayStartsServesAndStopsInOneCall(t *testing.T) {
	begin := time.Now()
	g := fleetlinetest.Start(t)
	t.Logf("started in %s", time.Since(begin))
	_, key := g.AddAccount("test")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client, err := fleetline.Connect(ctx, g.URL, fleetline.Config{APIKey: key, Machine: fleetline.MachineInfo{HWID: "hw"}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	sent := g.Publish(api.Target{All: true}, `{"hello":"machine"}`)
	msg, err := client.Next(ctx)
	if err != nil || msg.Position.Seq != sent.Seq || string(msg.Data) != `{"hello":"machine"}` {
		t.Fatalf("got %+v, %v", msg, err)
	}
	var id string
	for m, err := range g.API.Machines(ctx, api.MachineQuery{Presence: api.Online}) {
		if err != nil {
			t.Fatal(err)
		}
		id = m.ID
	}
	if err := g.API.DeleteMachine(ctx, id); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Next(ctx); !errors.Is(err, fleetline.ErrMachineDeleted) {
		t.Fatalf("after the deletion: %v", err)
	}
	_ = json.RawMessage(nil)
}
