package dashboard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/fleetline/fleetline/fleetlinetest"
)

// fleet is many machines of one account, each with a connection that is read.
type fleet struct {
	gateway *fleetlinetest.Gateway
	account string
	ids     []string
	links   []*websocket.Conn
	last    []chan string // what a machine heard last: one element
	reading sync.WaitGroup
}

// enrol connects n machines, twenty at a time.
func enrol(t *testing.T, g *fleetlinetest.Gateway, n int) *fleet {
	t.Helper()
	id, key := g.AddAccount("workshop")
	f := &fleet{gateway: g, account: id, ids: make([]string, n), links: make([]*websocket.Conn, n), last: make([]chan string, n)}
	t.Cleanup(func() {
		for _, c := range f.links {
			if c != nil {
				_ = c.CloseNow()
			}
		}
		f.reading.Wait()
	})
	places := make(chan struct{}, 20)
	var connecting sync.WaitGroup
	for i := range n {
		places <- struct{}{}
		connecting.Go(func() {
			defer func() { <-places }()
			if err := f.connect(t.Context(), i, key); err != nil {
				t.Errorf("machine %d: %v", i, err)
			}
		})
	}
	connecting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return f
}

func (f *fleet) connect(ctx context.Context, i int, key string) error {
	c, _, err := websocket.Dial(ctx, f.gateway.URL, nil)
	if err != nil {
		return err
	}
	f.links[i], f.last[i] = c, make(chan string, 1)
	systems := []string{"linux amd64", "linux arm64", "darwin arm64", "windows amd64"}
	os, arch, _ := strings.Cut(systems[i%len(systems)], " ")
	hello, err := json.Marshal(map[string]any{"type": "auth", "v": 1, "apiKey": key, "machine": map[string]any{
		"hwid": fmt.Sprintf("hw-%04d", i), "hostname": fmt.Sprintf("box-%04d", i), "os": os, "arch": arch,
		"cpuCores": 2 + i%7, "ramBytes": int64(1+i%16) << 30, "version": fmt.Sprintf("1.%d.0", i%5),
	}})
	if err == nil {
		err = c.Write(ctx, websocket.MessageText, hello)
	}
	if err != nil {
		return err
	}
	_, answer, err := c.Read(ctx)
	var welcome struct{ Type, MachineID string }
	if err == nil {
		err = json.Unmarshal(answer, &welcome)
	}
	if err == nil && welcome.Type != "auth_success" {
		err = fmt.Errorf("it was answered %s", answer)
	}
	f.ids[i] = welcome.MachineID
	f.reading.Go(func() { f.read(i) }) // ends with the connection
	return err
}

func (f *fleet) read(i int) {
	for {
		_, text, err := f.links[i].Read(context.Background())
		if err != nil {
			return
		}
		if strings.HasPrefix(string(text), `{"type":"ping"`) {
			_ = f.links[i].Write(context.Background(), websocket.MessageText, []byte(`{"type":"pong"}`))
			continue
		}
		select {
		case <-f.last[i]:
		default:
		}
		f.last[i] <- string(text)
	}
}
