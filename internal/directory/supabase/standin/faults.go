package standin

import (
	"fmt"
	"sync"
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

// trouble holds the faults of now.
type trouble struct {
	mu      sync.Mutex
	faults  Faults
	spoiled int // requests they have answered
	lost    int // changes they have lost
}

// Faults are those of now.
func (t *trouble) Faults() Faults {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.faults
}

// Break puts faults in the place of those before. The zero value heals.
func (t *trouble) Break(f Faults) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults, t.spoiled, t.lost = f, 0, 0
}

// Lost counts the changes that the present faults have lost.
func (t *trouble) Lost() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost
}

// loses tells whether a change gets lost.
func (t *trouble) loses() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.faults.Mute && t.lost >= t.faults.Lose {
		return false
	}
	t.lost++
	return true
}
