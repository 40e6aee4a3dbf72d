package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// bystanders are the sessions that are connected while others are deleted.
const bystanders = 1000

// member is a connected machine.
type member struct {
	conn *websocket.Conn
	id   string
	told chan time.Time // when machine_deleted came
}

func (b *binary) join(ctx context.Context, hwid string) (*member, error) {
	c, _, err := websocket.Dial(ctx, "ws://127.0.0.1:"+b.port, nil)
	if err != nil {
		return nil, err
	}
	auth := fmt.Sprintf(`{"type":"auth","v":1,"apiKey":%q,"machine":{"hwid":%q}}`, b.key, hwid)
	if err := c.Write(ctx, websocket.MessageText, []byte(auth)); err != nil {
		return nil, err
	}
	var hello struct{ Type, MachineID string }
	if _, text, err := c.Read(ctx); err != nil {
		return nil, err
	} else if err := json.Unmarshal(text, &hello); err != nil || hello.Type != "auth_success" {
		return nil, fmt.Errorf("auth was answered with %s", hello.Type)
	}
	m := &member{conn: c, id: hello.MachineID, told: make(chan time.Time, 1)}
	go m.listen(ctx) // ends with the connection
	return m, nil
}

func (m *member) listen(ctx context.Context) {
	for {
		_, text, err := m.conn.Read(ctx)
		now := time.Now()
		if err != nil {
			return
		}
		var f struct{ Type string }
		if json.Unmarshal(text, &f) == nil && f.Type == "machine_deleted" {
			m.told <- now
			_ = m.conn.CloseNow()
			return
		}
	}
}

// BenchmarkDeletion measures from the first byte of the DELETE to the frame at the machine, the
// gateway being another process, beside 1,000 other sessions:
//
//	go test -run xxx -bench Deletion -benchtime 1000x ./cmd/fleetline
func BenchmarkDeletion(b *testing.B) {
	gw := newBinary(b)
	gw.start()
	a, err := gw.client().AddAccount(b.Context(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	gw.key = string(a.APIKey)
	ctx, end := context.WithCancel(context.Background())
	defer end()
	for i := range bystanders {
		if _, err := gw.join(ctx, fmt.Sprint("bystander ", i)); err != nil {
			b.Fatal(err)
		}
	}
	victims := make([]*member, b.N)
	for i := range victims {
		if victims[i], err = gw.join(ctx, fmt.Sprint("victim ", i)); err != nil {
			b.Fatal(err)
		}
	}
	api := gw.client()
	took := make([]time.Duration, b.N)
	b.ResetTimer()
	for i, m := range victims {
		begin := time.Now()
		if err := api.DeleteMachine(ctx, m.id); err != nil {
			b.Fatal(err)
		}
		took[i] = (<-m.told).Sub(begin)
	}
	b.StopTimer()
	slices.Sort(took)
	for _, p := range []struct {
		name string
		at   float64
	}{{"p50-ms", .50}, {"p99-ms", .99}, {"max-ms", 1}} {
		i := min(int(p.at*float64(len(took))), len(took)-1)
		b.ReportMetric(took[i].Seconds()*1000, p.name)
	}
}
