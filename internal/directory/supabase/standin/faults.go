package standin

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// Faults are what is wrong with a project. The zero value is a healthy one on the platform.
type Faults struct {
	// ApikeyKept has the gateway leave ?apikey= to PostgREST, as self-hosted ones do.
	ApikeyKept bool

	// Of REST. Only bends those alone whose method and path begin so, and Times as many of them as it
	// says; zero is all.
	Only  string
	Times int
	// Status is answered instead of the truth, in the words of who would say it on the platform.
	Status int
	// RetryAfter goes with Status 429 and 503.
	RetryAfter time.Duration
	// Body is answered instead of the truth, with status 200 and the content type of the truth.
	Body Spoiled
	// Delay comes before the answer's last byte; it ends early with the request.
	Delay time.Duration

	// Of Realtime. Handshake is a status that refuses sockets.
	Handshake int
	// JoinError refuses joins, as "Code: text".
	JoinError string
	// SystemDelay is between a join's answer and its subscription. What changes then is lost.
	SystemDelay time.Duration
	// SubscriptionError comes instead of system ok; the channel stays open.
	SubscriptionError string
	// Mute subscribes and sends no changes.
	Mute bool
	// Lose is how many changes get lost before they flow again, as when a tenant is over its limit.
	Lose int
	// Blackhole leaves sockets open and answers nothing on them.
	Blackhole bool
}

// Spoiled is a body that should not be believed.
type Spoiled int

// Bodies with status 200.
const (
	Whole     Spoiled = iota // the truth
	HTML                     // somebody's login page
	Truncated                // the truth, cut in the middle of its JSON
	CutOff                   // the truth, cut with the connection
	Garbage                  // not JSON
	Empty                    // [], as row level security answers
	Null                     // JSON, but not what was asked for
)

// Matrix names the faults that a directory must survive.
func Matrix() map[string]Faults {
	matrix := map[string]Faults{
		"html with status 200":  {Body: HTML},
		"truncated json":        {Body: Truncated},
		"cut off body":          {Body: CutOff},
		"garbage json":          {Body: Garbage},
		"empty as under rls":    {Body: Empty},
		"null":                  {Body: Null},
		"slow body":             {Delay: time.Minute},
		"429 with Retry-After":  {Status: 429, RetryAfter: time.Second},
		"apikey parameter kept": {ApikeyKept: true},

		"late system ok":     {SystemDelay: 2 * time.Second},
		"subscription error": {SubscriptionError: subscriptionFailed},
		"join error":         {JoinError: "ClientJoinRateLimitReached: Too many joins per second"},
		"mute":               {Mute: true},
		"skipped events":     {Lose: 1},
		"blackhole":          {Blackhole: true},
	}
	for _, status := range []int{401, 402, 403, 500, 502, 503, 520, 521, 540, 544} {
		matrix[fmt.Sprintf("status %d", status)] = Faults{Status: status}
	}
	for _, status := range []int{401, 403, 404, 429, 500} {
		matrix[fmt.Sprintf("websocket refused with %d", status)] = Faults{Handshake: status}
	}
	return matrix
}

// Faults are those of now.
func (p *Project) Faults() Faults {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults
}

// Break puts faults in the place of those before. The zero value heals.
func (p *Project) Break(f Faults) {
	p.mu.Lock()
	p.faults, p.spoiled, p.lost = f, 0, 0
	p.mu.Unlock()
}

// Outage has connections refused, and cuts those there are, until it is called with false.
func (p *Project) Outage(on bool) error {
	if on {
		p.stop()
		return nil
	}
	listener, err := net.Listen("tcp", p.address)
	if err == nil {
		p.serve(listener)
	}
	return err
}

// Drop cuts all sockets of Realtime, without a close frame.
func (p *Project) Drop() {
	for _, s := range p.realtime.open() {
		_ = s.conn.CloseNow()
	}
}

// Crash ends all channels as a crash of their processes does: with phx_error.
func (p *Project) Crash() {
	for _, ch := range p.realtime.all() {
		ch.end()
		ch.socket.send(frame{JoinRef: ch.joinRef, Ref: ch.joinRef, Topic: ch.topic, Event: "phx_error", Payload: object{}.raw()})
	}
}

// ShutDown ends all channels with a system error and phx_close, after which the official client gives
// up.
func (p *Project) ShutDown(reason string) {
	for _, ch := range p.realtime.all() {
		ch.shutDown(reason)
	}
}

// RepeatSystemOK subscribes all channels anew, as when the publication has changed: what changes before
// the next system ok is lost.
func (p *Project) RepeatSystemOK() { p.realtime.resubscribe() }

// RestartRealtime loses the replication slot and what was not read from it; a new one follows.
func (p *Project) RestartRealtime() { p.realtime.feed.restart() }

// Subscribed counts the channels that changes reach now.
func (p *Project) Subscribed() int {
	n := 0
	for _, ch := range p.realtime.all() {
		if ch.subscribed() {
			n++
		}
	}
	return n
}

// Lost counts the changes that the present faults have lost.
func (p *Project) Lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// loses tells whether a change gets lost.
func (p *Project) loses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.faults.Mute && p.lost >= p.faults.Lose {
		return false
	}
	p.lost++
	return true
}

// spoil applies the faults of REST: it answers by itself, or bends what will be answered.
func (p *Project) spoil(w http.ResponseWriter, r *http.Request, f Faults) (_ http.ResponseWriter, answered bool) {
	if f.Status == 0 && f.Body == Whole && f.Delay == 0 || !strings.HasPrefix(r.Method+" "+r.URL.Path, f.Only) {
		return w, false
	}
	p.mu.Lock()
	p.spoiled++
	over := f.Times > 0 && p.spoiled > f.Times
	p.mu.Unlock()
	switch {
	case over:
		return w, false
	case f.Status != 0:
		answerStatus(w, f)
	case f.Body == HTML:
		page(w, http.StatusOK, "Sign in to continue")
	case f.Body == Garbage:
		writeText(w, "[{]\"nothing: that is JSON")
	case f.Body == Empty:
		writeText(w, "[]")
	case f.Body == Null:
		writeText(w, "null")
	default:
		return &bent{ResponseWriter: w, faults: f, done: r.Context().Done()}, false
	}
	return w, true
}

func writeText(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Range", "*/*")
	_, _ = w.Write([]byte(body))
}

// answerStatus speaks as whoever answers with that status on the platform: the API gateway in JSON,
// Cloudflare with pages.
func answerStatus(w http.ResponseWriter, f Faults) {
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int(f.RetryAfter.Seconds())))
	}
	switch f.Status {
	case http.StatusUnauthorized:
		refuse(w, f.Status, "Invalid API key", "Double check your Supabase `anon` or `service_role` API key.")
	case http.StatusPaymentRequired:
		refuse(w, f.Status, "Service for this project is restricted due to the following violations: exceed_egress_quota.", "")
	case http.StatusForbidden:
		refuse(w, f.Status, "Forbidden", "")
	case http.StatusTooManyRequests:
		refuse(w, f.Status, "API rate limit exceeded", "")
	case http.StatusServiceUnavailable:
		writeError(w, noConnection)
	case 540:
		refuse(w, f.Status, "Project paused", "")
	case 544:
		refuse(w, f.Status, "The connection to the database timed out", "")
	case 521:
		page(w, f.Status, "standin.supabase.co | 521: Web server is down")
	default:
		page(w, f.Status, fmt.Sprintf("%d: error", f.Status))
	}
}

// bent lets the truth through, late or not whole.
type bent struct {
	http.ResponseWriter
	faults Faults
	done   <-chan struct{}
}

// Unwrap lets http.ResponseController reach the connection.
func (b *bent) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// WriteHeader forgets the length of what is cut, so that the cut does not show.
func (b *bent) WriteHeader(status int) {
	if b.faults.Body == Truncated {
		b.Header().Del("Content-Length")
	}
	b.ResponseWriter.WriteHeader(status)
}

func (b *bent) Write(body []byte) (int, error) {
	half := len(body) / 2
	switch b.faults.Body {
	case CutOff:
		_, _ = b.ResponseWriter.Write(body[:half])
		_ = http.NewResponseController(b.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	case Truncated:
		_, _ = b.ResponseWriter.Write(body[:half])
		return len(body), nil
	}
	_, _ = b.ResponseWriter.Write(body[:half])
	_ = http.NewResponseController(b.ResponseWriter).Flush()
	wait := time.NewTimer(b.faults.Delay)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-b.done:
	}
	_, _ = b.ResponseWriter.Write(body[half:])
	return len(body), nil
}
