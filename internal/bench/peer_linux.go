package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// peer is another server.
type peer struct {
	command []string
	dir     string
	// client keeps as many connections as that of the gateway's API does.
	client http.Client

	child *child // nil before the start
	told  peerAddrs
}

// peerAddrs is the one line that a peer prints.
type peerAddrs struct {
	Machines string `json:"machines"`
	Control  string `json:"control"`
	Dialect  string `json:"dialect"`
}

func newPeer(command []string, dir string) *peer {
	return &peer{command: command, dir: dir, client: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}, Timeout: stepWithin}}
}

func (p *peer) process() *child { return p.child }

func (p *peer) start(ctx context.Context, heartbeat time.Duration) (err error) {
	args := append(append([]string{}, p.command...), "--heartbeat", heartbeat.String())
	if p.child, err = startChild(p.dir, args); err != nil {
		return err
	}
	line := make(chan string, 1)
	go func() { // ends with the line, or with the child's output
		text, _ := bufio.NewReader(p.child.out).ReadString('\n')
		line <- text
	}()
	select {
	case text := <-line:
		if err := json.Unmarshal([]byte(text), &p.told); err != nil {
			return p.child.lastWords(fmt.Errorf("reading a peer's addresses out of %q: %w", text, err))
		}
		return nil
	case <-time.After(readyWithin):
		return p.child.lastWords(fmt.Errorf("a peer did not say its addresses within %s", readyWithin))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *peer) call(ctx context.Context, method, path string, body []byte) (string, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+p.told.Control+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := p.client.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if err == nil && answer.StatusCode/100 != 2 {
		err = fmt.Errorf("asking a peer for %s: %s", path, answer.Status)
	}
	return string(text), err
}

func (p *peer) settle(ctx context.Context) error {
	_, err := p.call(ctx, http.MethodPost, "/gc", nil)
	return err
}

func (p *peer) publish(ctx context.Context, machine string, data []byte, _ mode) error {
	_, err := p.call(ctx, http.MethodPost, publishPath(machine), data)
	return err
}

func (p *peer) request(machine string, data []byte, _ mode) []byte {
	return postText(p.told.Control, publishPath(machine), data, "")
}

func publishPath(machine string) string {
	if machine == "" {
		return "/all"
	}
	return "/machine?id=" + url.QueryEscape(machine)
}

func (p *peer) sessions(ctx context.Context) (int, error) {
	text, err := p.call(ctx, http.MethodGet, "/live", nil)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(text))
}
