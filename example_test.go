package fleetline_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/coder/websocket"

	"github.com/fleetline/fleetline"
)

// A program that handles what its backend publishes. The state file makes the machine one of its own
// and lets it go on where it was after a restart.
func ExampleConnect() {
	gateway := startGateway(`{"type":"data","seq":1,"data":{"job":"backup"}}`, `{"type":"data","seq":2,"data":{"job":"report"}}`)
	defer gateway.Close()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	ctx, cancel := context.WithCancel(context.Background()) // in a program: signal.NotifyContext
	defer cancel()
	client, err := fleetline.Connect(ctx, gateway.URL, fleetline.Config{
		APIKey: "flk_example",
		State:  fleetline.FileState(filepath.Join(dir, "fleetline.json")),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	for msg := range client.Messages(ctx) {
		fmt.Printf("%d: %s\n", msg.Position.Seq, msg.Data)
		if msg.Position.Seq == 2 {
			cancel()
		}
	}
	fmt.Println("ended by the gateway:", client.Err() != nil)
	// Output:
	// 1: {"job":"backup"}
	// 2: {"job":"report"}
	// ended by the gateway: false
}

// A machine that was deleted ends; its state has been wiped by then.
func ExampleConnect_deleted() {
	gateway := startGateway(`{"type":"machine_deleted","message":"Your machine has been deleted. Please re-authenticate."}`)
	defer gateway.Close()

	ctx := context.Background()
	client, err := fleetline.Connect(ctx, gateway.URL, fleetline.Config{APIKey: "flk_example"})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	_, err = client.Next(ctx)
	switch {
	case errors.Is(err, fleetline.ErrMachineDeleted):
		fmt.Println("exit 3:", err)
	case errors.Is(err, fleetline.ErrBadKey):
		fmt.Println("exit 4:", err)
	}
	// Output:
	// exit 3: the machine has been deleted: Your machine has been deleted. Please re-authenticate.
}

// Next leaves the loop to the program. OnGap is called from within Next, in order among the
// messages.
func ExampleClient_Next() {
	gateway := startGateway(`{"type":"data","seq":1,"data":"a"}`, `{"type":"gap","seq":40}`, `{"type":"data","seq":41,"data":"b"}`)
	defer gateway.Close()

	ctx := context.Background()
	client, err := fleetline.Connect(ctx, gateway.URL, fleetline.Config{
		APIKey: "flk_example",
		OnGap:  func(g fleetline.Gap) { fmt.Println("gone: from", g.After.Seq+1, "to", g.Until.Seq) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	for range 2 {
		msg, err := client.Next(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(msg.Data))
	}
	client.Ack() // the last one has been processed, though nobody asks for another
	// Output:
	// "a"
	// gone: from 2 to 40
	// "b"
}

// A key that is kept elsewhere is read anew before each attempt.
func ExampleConfig_keyFunc() {
	gateway := startGateway()
	defer gateway.Close()
	cfg := fleetline.Config{
		KeyFunc: func(context.Context) (string, error) {
			return "flk_example", nil // in a program: from a vault, a keyring, a mounted secret
		},
		OnStatus: func(s fleetline.Status) { fmt.Println(s.Phase) },
	}
	client, err := fleetline.Connect(context.Background(), gateway.URL, cfg)
	if err != nil {
		log.Fatal(err)
	}
	_ = client.Close()
	// Output:
	// connecting
	// connected
	// ended
}

// startGateway lets every machine in and sends it these frames.
func startGateway(frames ...string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.CloseNow() }()
		if _, _, err := conn.Read(r.Context()); err != nil { // auth
			return
		}
		welcome := `{"type":"auth_success","sessionToken":"T","message":"Authentication successful","machineId":"mch_1","sessionId":"ses_1","heartbeatSeconds":30,"seq":0,"epoch":"e1"}`
		for _, frame := range append([]string{welcome}, frames...) {
			if conn.Write(r.Context(), websocket.MessageText, []byte(frame)) != nil {
				return
			}
		}
		for err == nil { // until the machine goes
			_, _, err = conn.Read(r.Context())
		}
	}))
}
