package fleetline

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/fleetline/fleetline/wire"
)

// Verdicts that end a Client for good. What Connect, Next and Err return for them is a *Refusal
// that also carries the gateway's own words.
var (
	// ErrMachineDeleted means that this machine was deleted. The state has been wiped, and its key
	// is refused here from now on. Who takes the deletion back at the gateway must also have
	// DeletedWith removed from the state, and HWID kept: it is what the machine is known by.
	ErrMachineDeleted = errors.New("the machine has been deleted")
	// ErrBadKey means that the gateway does not accept the API key.
	ErrBadKey = errors.New("the API key is not accepted")
	// ErrProtocol means that gateway and client do not understand each other.
	ErrProtocol = errors.New("the gateway does not accept this client's protocol")
)

// ErrNoKey means that neither Config nor State names an API key. Connect returns it at once; a Client
// that has been let in waits for a key to be there again.
var ErrNoKey = errors.New("there is no API key")

// ErrClosed is returned after Close.
var ErrClosed = errors.New("the client is closed")

// Reasons of this end for giving a connection up. A Client comes back after them.
var (
	ErrSilent  = errors.New("the gateway was silent for one and a half heartbeats")
	ErrTooSlow = errors.New("the gateway did not let the machine in within 30 s")
	ErrTooBig  = errors.New("the gateway sent a frame larger than Config.MaxFrame")
)

// Refusal is what the gateway said when it refused or ended a session.
type Refusal struct {
	// Code is the stable word for it; empty if the gateway named none.
	Code wire.Code
	// Close is the WebSocket close code; 0 if a frame alone said it.
	Close wire.CloseCode
	// Message is the gateway's sentence for people.
	Message string
	// RetryAfter is how long the gateway asks to stay away; 0 if it does not say.
	RetryAfter time.Duration
}

// verdicts pairs each terminal word with the sentinel that errors.Is finds.
func verdict(code wire.Code) error {
	switch code {
	case wire.CodeMachineDeleted:
		return ErrMachineDeleted
	case wire.CodeBadKey:
		return ErrBadKey
	case wire.CodeProtocol:
		return ErrProtocol
	}
	return nil
}

// Terminal tells whether coming back as the same machine with the same key is of no use.
func (r *Refusal) Terminal() bool { return r.Close.Terminal() || verdict(r.Code) != nil }

// Is makes errors.Is find the verdict.
func (r *Refusal) Is(target error) bool { return target != nil && verdict(r.Code) == target }

func (r *Refusal) Error() string {
	text := "the gateway ended the session"
	if err := verdict(r.Code); err != nil {
		text = err.Error()
	} else if r.Code != "" {
		text += " (" + printable(string(r.Code)) + ")"
	} else if r.Close != 0 {
		text += fmt.Sprintf(" (%d)", r.Close)
	}
	if r.Message == "" {
		return text
	}
	return text + ": " + printable(r.Message)
}

// printable keeps a remote's words from moving the cursor of the terminal they are shown on.
func printable(s string) string {
	const most = 200
	clean := strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, s)
	if runes := []rune(clean); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return clean
}

// HTTPError is an HTTP answer that is no WebSocket: a proxy's page, a login wall, a gateway that is
// not up. It says nothing about the machine or its key.
type HTTPError struct {
	Status int
	// Proxy tells that the answer is that of the proxy which HTTPS_PROXY names, and that it has opened
	// no way to the server.
	Proxy bool
	// Server, Location and ContentType are the headers of these names.
	Server, Location, ContentType string
	// RetryAfter is how long the answer asks to stay away; 0 if it does not say.
	RetryAfter time.Duration
}

func (e *HTTPError) Error() string {
	if e.Proxy {
		return fmt.Sprintf("the proxy answered %d %s instead of opening a way to the server", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("the server answered %d %s instead of opening a WebSocket", e.Status, http.StatusText(e.Status))
}

func httpError(resp *http.Response) *HTTPError {
	seconds, _ := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16)
	return &HTTPError{
		Status: resp.StatusCode, RetryAfter: time.Duration(seconds) * time.Second,
		Server: resp.Header.Get("Server"), Location: resp.Header.Get("Location"), ContentType: resp.Header.Get("Content-Type"),
	}
}

// retryAfter is how long err's author asks to stay away.
func retryAfter(err error) time.Duration {
	const most = time.Hour
	var refusal *Refusal
	var page *HTTPError
	switch {
	case errors.As(err, &refusal):
		return min(refusal.RetryAfter, most)
	case errors.As(err, &page):
		return min(page.RetryAfter, most)
	}
	return 0
}
