package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fleetline/fleetline/api"
)

// gateway is a fleetline that the run starts as its child.
type gateway struct {
	// Fixed after construction.
	program  string
	args     []string // further flags
	dir      string   // temporary; holds the data folder
	machines string   // host:port
	operator string   // host:port
	token    api.Key  // of the operators
	api      *api.Client

	heartbeat time.Duration
	child     *child // nil before the first start
}

func newGateway(program string, args []string, dir string) (*gateway, error) {
	g := &gateway{program: program, args: args, dir: dir, token: api.Key(rand.Text())}
	var err error
	if g.machines, err = freeAddr(); err != nil {
		return nil, err
	}
	if g.operator, err = freeAddr(); err != nil {
		return nil, err
	}
	g.api, err = api.NewClient("http://"+g.operator, string(g.token))
	return g, err
}

// freeAddr finds a port that stays the same when the server is started again. It lies below those
// that systems give to outgoing connections: one of these could take it meanwhile.
func freeAddr() (string, error) {
	const lowest, highest, tries = 20000, 32000, 100
	var err error
	for range tries {
		var l net.Listener
		if l, err = net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", lowest+mathrand.IntN(highest-lowest))); err == nil {
			defer l.Close()
			return l.Addr().String(), nil
		}
	}
	return "", fmt.Errorf("looking for a free port: %w", err)
}

func (g *gateway) process() *child { return g.child }

// start starts the gateway and waits until it is ready for machines.
func (g *gateway) start(ctx context.Context, heartbeat time.Duration) error {
	g.heartbeat = heartbeat
	if err := g.launch(); err != nil {
		return err
	}
	if err := g.awaitReady(ctx); err != nil {
		return g.child.lastWords(fmt.Errorf("waiting for the gateway: %w", err))
	}
	return nil
}

// launch starts the process and does not wait.
func (g *gateway) launch() error {
	_, port, err := net.SplitHostPort(g.machines)
	if err != nil {
		return err
	}
	args := []string{g.program, "serve", "--host", "127.0.0.1", "--port", port, "--admin-addr", g.operator,
		"--data-dir", filepath.Join(g.dir, "data"), "--heartbeat", g.heartbeat.String()}
	started, err := startChild(g.dir, append(args, g.args...), "FLEETLINE_ADMIN_TOKEN="+string(g.token))
	if err == nil {
		g.child = started
	}
	return err
}

const (
	readyWithin = 60 * time.Second
	askEvery    = 5 * time.Millisecond
)

func (g *gateway) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	return until(ctx, askEvery, func() error {
		if g.child.hasEnded() {
			return errEnded
		}
		_, err := g.api.Ready(ctx)
		return err
	})
}

// awaitPort returns when the machines' port has opened.
func (g *gateway) awaitPort(ctx context.Context) error { return g.awaitDoor(ctx, g.machines) }

func (g *gateway) awaitDoor(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	return until(ctx, time.Millisecond, func() error {
		if g.child.hasEnded() {
			return errEnded
		}
		c, err := net.Dial("tcp4", addr)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
}

// settle runs a collection and gives memory back, as a small box under pressure would be given it.
func (g *gateway) settle(ctx context.Context) error {
	for range 2 { // the second finds what finalizers of the first let go
		body, err := g.get(ctx, "/debug/pprof/heap?gc=1")
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, body)
		if err = errors.Join(err, body.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (g *gateway) get(ctx context.Context, path string) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.operator+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+string(g.token))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		_ = answer.Body.Close()
		return nil, fmt.Errorf("asking for %s: %s", path, answer.Status)
	}
	return answer.Body, nil
}

func (g *gateway) publish(ctx context.Context, machine string, data []byte, m mode) error {
	_, err := g.api.Publish(ctx, messageTo(machine, data, m))
	return err
}

func (g *gateway) request(machine string, data []byte, m mode) []byte {
	body, _ := json.Marshal(messageTo(machine, data, m)) // nothing in it can fail
	return postText(g.operator, "/v1/messages", body, "Authorization: Bearer "+string(g.token)+"\r\n")
}

func messageTo(machine string, data []byte, m mode) api.Message {
	return api.Message{To: api.Target{Machine: machine, All: machine == ""}, Data: data, Mode: api.Mode(m)}
}

func (g *gateway) sessions(ctx context.Context) (int, error) {
	n, found, err := g.metric(ctx, "fleetline_session_live")
	if err == nil && !found {
		err = errors.New("the gateway does not tell how many sessions it has")
	}
	return int(n), err
}

// metric adds up all series of a metric.
func (g *gateway) metric(ctx context.Context, name string) (total float64, found bool, err error) {
	body, err := g.get(ctx, "/metrics")
	if err != nil {
		return 0, false, err
	}
	defer body.Close()
	total, found = addUp(body, name)
	return total, found, nil
}

// addUp reads the text format of Prometheus.
func addUp(text io.Reader, name string) (total float64, found bool) {
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		rest, is := bytes.CutPrefix(lines.Bytes(), []byte(name))
		if !is || len(rest) == 0 || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		fields := strings.Fields(string(rest[bytes.LastIndexByte(rest, '}')+1:]))
		if len(fields) == 0 {
			continue
		}
		if n, err := strconv.ParseFloat(fields[0], 64); err == nil {
			total += n
			found = true
		}
	}
	return total, found
}

// account makes an account and returns its id and key.
func (g *gateway) account(ctx context.Context, name string) (id string, key api.Key, err error) {
	a, err := g.api.AddAccount(ctx, name)
	return a.ID, a.APIKey, err
}
