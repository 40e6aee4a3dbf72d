package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
)

// control is what the bench asks of a server beside its machines.
type control struct {
	all  func(data []byte)
	one  func(id string, data []byte)
	live func() int
}

// serve listens on two free ports, says which, and serves until ctx ends.
func serve(ctx context.Context, dialect string, machines http.Handler, c control) error {
	// Machines are pinged as it is, and to have the system do so too takes four calls for each connection.
	listening := net.ListenConfig{KeepAlive: -1}
	var addrs [2]string
	failed := make(chan error, 2)
	for i, handler := range []http.Handler{machines, c.handler()} {
		l, err := listening.Listen(ctx, "tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		addrs[i] = l.Addr().String()
		s := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
		defer s.Close()
		go func() { failed <- s.Serve(l) }() // ends with Close
	}
	line, err := json.Marshal(map[string]string{"machines": addrs[0], "control": addrs[1], "dialect": dialect})
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "%s\n", line)
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

func (c control) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /all", func(w http.ResponseWriter, r *http.Request) {
		if data, ok := body(w, r); ok {
			c.all(data)
		}
	})
	mux.HandleFunc("POST /machine", func(w http.ResponseWriter, r *http.Request) {
		if data, ok := body(w, r); ok {
			c.one(r.URL.Query().Get("id"), data)
		}
	})
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strconv.Itoa(c.live())) })
	mux.HandleFunc("POST /gc", func(http.ResponseWriter, *http.Request) {
		for range 3 { // stacks shrink by half in each
			runtime.GC()
		}
		debug.FreeOSMemory()
	})
	return mux
}

func body(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	data, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil && !json.Valid(data) {
		err = errors.New("the data is not JSON")
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	return data, err == nil
}

// dataFrame is a message to a machine.
func dataFrame(data []byte) []byte {
	return append(append([]byte(`{"type":"data","data":`), data...), '}')
}

// first is an auth frame.
type first struct {
	Type    string `json:"type"`
	APIKey  string `json:"apiKey"`
	Machine struct {
		HWID string `json:"hwid"`
	} `json:"machine"`
}

// welcome answers an auth frame. Machines look for the type where it stands first.
type welcome struct {
	Type         string `json:"type"`
	SessionToken string `json:"sessionToken"`
	Message      string `json:"message"`
	MachineID    string `json:"machineId"`
}

// greet reads an auth frame and makes its answer; the machine's id is its hwid.
func greet(text []byte) (id string, answer []byte, err error) {
	var f first
	if err := json.Unmarshal(text, &f); err != nil {
		return "", nil, err
	}
	if f.Type != "auth" || f.APIKey == "" {
		return "", nil, errors.New("the first frame is not auth")
	}
	answer, err = json.Marshal(welcome{"auth_success", "none", "Authentication successful", f.Machine.HWID})
	return f.Machine.HWID, answer, err
}
