package standin

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/fleetline/fleetline/internal/directory/pgtest"
)

const oneUser = `insert into "user" (apikey) values ('one')`

func TestAStatusComesInTheWordsOfWhoSaysIt(t *testing.T) {
	p, _ := withUsers(t, oneUser)
	for name, f := range Matrix() {
		if f.Status == 0 {
			continue
		}
		p.Break(f)
		got := ask(t, p, "GET", "/rest/v1/user", "")
		isPage := strings.HasPrefix(got.header.Get("Content-Type"), "text/html")
		wantPage := f.Status == 500 || f.Status == 502 || f.Status == 520 || f.Status == 521
		if got.status != f.Status || isPage != wantPage || !isPage && got.body[0] != '{' {
			t.Errorf("%s: %d %s %s", name, got.status, got.header.Get("Content-Type"), got.body)
		}
		if f.RetryAfter > 0 && got.header.Get("Retry-After") != "1" {
			t.Errorf("%s: Retry-After is %q", name, got.header.Get("Retry-After"))
		}
	}
	p.Break(Faults{})
	ask(t, p, "GET", "/rest/v1/user", "").wants(t, 200, `[{"id":1,"apikey":"one"}]`)
}

func TestAFaultMayBendSomeRequestsOnly(t *testing.T) {
	p, _ := withUsers(t, oneUser)
	p.Break(Faults{Status: 503, Times: 2, Only: "GET /rest/v1/us"})
	var got []int
	for range 3 {
		got = append(got, ask(t, p, "HEAD", "/rest/v1/user", "").status, ask(t, p, "GET", "/rest/v1/user", "").status)
	}
	if want := [6]int{200, 503, 200, 503, 200, 200}; [6]int(got) != want {
		t.Errorf("the answers are %v, want %v", got, want)
	}
	if n, all := p.Requests("GET /rest/v1/user"), p.Requests(""); n != 3 || all != 6 {
		t.Errorf("%d of %d requests are counted as GET", n, all)
	}
	if urls := p.URLs(); len(urls) != 6 || urls[0] != "/rest/v1/user" {
		t.Errorf("the log of URLs holds %q", urls)
	}
}

func TestABodyMayBeSpoiled(t *testing.T) {
	p, _ := withUsers(t, oneUser)
	whole := ask(t, p, "GET", "/rest/v1/user", "").body
	for spoiled, want := range map[Spoiled]string{Garbage: `[{]"nothing: that is JSON`, Empty: `[]`, Null: `null`} {
		p.Break(Faults{Body: spoiled})
		ask(t, p, "GET", "/rest/v1/user", "").wants(t, 200, want)
	}
	p.Break(Faults{Body: HTML})
	if got := ask(t, p, "GET", "/rest/v1/user", ""); got.status != 200 || !strings.HasPrefix(got.body, "<!DOCTYPE html>") {
		t.Errorf("instead of a page came %d %s", got.status, got.body)
	}
	for _, spoiled := range []Spoiled{Truncated, CutOff} {
		p.Break(Faults{Body: spoiled})
		body, err := read(t.Context(), t, p)
		if (err != nil) != (spoiled == CutOff) || body != whole[:len(whole)/2] {
			t.Errorf("spoiled %d: read %q, %v", spoiled, body, err)
		}
	}
	p.Break(Faults{Delay: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if body, err := read(ctx, t, p); err == nil {
		t.Errorf("a slow body ended with %q", body)
	}
}

// read reads a body that may not be whole.
func read(ctx context.Context, t *testing.T, p *Project) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, "GET", p.URL+"/rest/v1/user", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("apikey", p.Keys().Secret)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func TestAnOutageRefusesConnectionsUntilItIsOver(t *testing.T) {
	p, _ := withUsers(t, oneUser)
	if err := p.Outage(true); err != nil {
		t.Fatal(err)
	}
	if _, err := read(t.Context(), t, p); err == nil {
		t.Error("a request was answered during an outage")
	}
	if err := p.Outage(false); err != nil {
		t.Fatal(err)
	}
	ask(t, p, "GET", "/rest/v1/user", "").wants(t, 200, `[{"id":1,"apikey":"one"}]`)
}

func realtimeFaults(t *testing.T, server *pgtest.Server) {
	p, d := withFeed(t, server, Config{})
	c := dial(t, p, "2.0.0")
	change := func() { d.Exec(t, `insert into "user" default values`) }
	rejoin := func() {
		t.Helper()
		p.Break(Faults{})
		c.subscribe(t)
	}

	p.Break(Faults{JoinError: "Code: text"})
	c.send(t, "realtime:a", "phx_join", `{}`)
	c.wants(t, `["1","1","realtime:a","phx_reply",{"response":{"reason":"Code: text"},"status":"error"}]`)
	p.Break(Faults{SubscriptionError: "no"})
	c.join(t, "user")
	c.wants(t, `*"system"*"message":"no","status":"error"*`)
	c.send(t, "realtime:a", "phx_leave", `{}`)
	c.wants(t, `*"phx_reply"*`)
	c.wants(t, `*"phx_close"*`)

	rejoin()
	change()
	c.wants(t, `*"record":{"apikey":null,"id":1}*`)
	p.RepeatSystemOK()
	c.wants(t, `*"Subscribed to PostgreSQL"*`)
	p.Break(Faults{Lose: 1})
	change()
	change()
	c.wants(t, `*"record":{"apikey":null,"id":3}*`)
	if n := p.Subscribed(); n != 1 {
		t.Errorf("%d channels are subscribed", n)
	}

	p.Crash()
	c.wants(t, `["4","4","realtime:a","phx_error",{}]`)
	rejoin()
	p.ShutDown("Token has expired")
	c.wants(t, `*"system",{"channel":"a","extension":"system","message":"Token has expired","status":"error"}]`)
	c.wants(t, `*"phx_close"*`)
	rejoin()

	p.Break(Faults{Mute: true})
	change()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); p.Lost() == 0; <-tick.C {
		if time.Now().After(end) {
			t.Fatal("the change was not read")
		}
	}
	p.Break(Faults{})
	change()
	c.wants(t, `*"record":{"apikey":null,"id":5}*`)

	p.Break(Faults{Blackhole: true})
	c.send(t, "phoenix", "heartbeat", `{}`)
	p.Drop()
	if text, err := readFrame(t, c); err == nil {
		t.Errorf("in the end came %s", text)
	}
}

func readFrame(t *testing.T, c *peer) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, text, err := c.conn.Read(ctx)
	return string(text), err
}

func refusedSockets(t *testing.T, server *pgtest.Server) {
	p, _ := withFeed(t, server, Config{})
	url := strings.Replace(p.URL, "http", "ws", 1) + "/realtime/v1/websocket?vsn=2.0.0&apikey="
	refused := func(key string, status int, body string) {
		t.Helper()
		conn, response, err := websocket.Dial(t.Context(), url+key, nil)
		if err == nil {
			_ = conn.CloseNow()
			t.Fatal("the socket was taken")
		}
		text, _ := io.ReadAll(response.Body)
		if response.StatusCode != status || !strings.Contains(string(text), body) {
			t.Errorf("refused with %d %s, want %d %s", response.StatusCode, text, status, body)
		}
	}
	p.Break(Faults{Handshake: 429})
	refused(p.Keys().Secret, 429, `{"error":"Too Many Requests"}`)
	p.Break(Faults{})
	refused("sb_secret_old", 401, `"Invalid API key"`)
}
