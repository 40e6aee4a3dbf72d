package socket

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ErrClosed is returned for a connection that comes when its engine has been closed.
var ErrClosed = errors.New("engine is closed")

// HandshakeError is why a request did not become a WebSocket. Status is what it was answered.
type HandshakeError struct {
	Status int
	Text   string
}

func (e *HandshakeError) Error() string { return "refusing handshake: " + e.Text }

// IsHandshake tells whether r asks for a WebSocket at all, properly or not.
func IsHandshake(r *http.Request) bool { return hasToken(r.Header["Upgrade"], "websocket") }

// handshakeTimeout bounds the write of the answer to a handshake. It fits into an empty socket
// buffer, so only a broken connection ever waits.
const handshakeTimeout = 5 * time.Second

// Upgrade takes the connection of r over, as Upgrader says. It needs HTTP/1.1: a server that speaks
// TLS must not offer h2.
func (e *Portable) Upgrade(w http.ResponseWriter, r *http.Request, peer Peer) error {
	if e.isClosed() {
		return refuse(w, goingAway())
	}
	t, err := takeOver(w, r, e.cfg.Subprotocols)
	if err != nil {
		return err
	}
	return e.welcome(t, peer)
}

// welcome answers the handshake and adopts the connection, which is closed if that fails.
func (e *Portable) welcome(t taken, peer Peer) error {
	err := answerHandshake(t.conn, t.answer)
	if err == nil {
		err = e.Adopt(t.conn, bytes.Clone(t.early), peer)
	}
	if err != nil {
		abandon(t.conn)
	}
	return err
}

func goingAway() *HandshakeError {
	return &HandshakeError{http.StatusServiceUnavailable, "going away"}
}

// taken is a connection taken over from net/http, whose handshake is proper and not yet answered.
type taken struct {
	conn net.Conn
	// early is what net/http has read beyond the request: the peer may speak before it is answered.
	early  []byte
	answer []byte
}

// takeOver takes the connection of r from net/http if r is a proper handshake, and answers it if not.
func takeOver(w http.ResponseWriter, r *http.Request, subprotocols []string) (taken, error) {
	accept, bad := checkHandshake(r)
	if bad != nil {
		return taken{}, refuse(w, bad)
	}
	nc, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return taken{}, refuse(w, &HandshakeError{http.StatusInternalServerError, "connection cannot be taken over"})
	}
	early, err := buffered.Reader.Peek(buffered.Reader.Buffered())
	if err != nil {
		abandon(nc)
		return taken{}, fmt.Errorf("taking over connection: %w", err)
	}
	return taken{nc, slices.Concat(early, unread(nc)), appendAnswer(nil, accept, agree(subprotocols, r))}, nil
}

func refuse(w http.ResponseWriter, why *HandshakeError) error {
	h := w.Header()
	h.Set("Sec-WebSocket-Version", "13")
	switch why.Status {
	case http.StatusUpgradeRequired:
		h.Set("Upgrade", "websocket")
		h.Set("Connection", "Upgrade")
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodGet)
	}
	http.Error(w, why.Text, why.Status)
	return why
}

// checkHandshake holds r to RFC 6455 4.2.1 and returns the value of Sec-WebSocket-Accept.
func checkHandshake(r *http.Request) (accept string, bad *HandshakeError) {
	no := func(status int, text string) (string, *HandshakeError) {
		return "", &HandshakeError{status, text}
	}
	key := r.Header["Sec-Websocket-Key"]
	switch {
	case r.Method != http.MethodGet:
		return no(http.StatusMethodNotAllowed, "a WebSocket begins with GET")
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return no(http.StatusUpgradeRequired, "a WebSocket begins with HTTP/1.1")
	case !IsHandshake(r):
		return no(http.StatusUpgradeRequired, "Upgrade does not say websocket")
	case !hasToken(r.Header["Connection"], "upgrade"):
		return no(http.StatusUpgradeRequired, "Connection does not say Upgrade")
	case len(r.Header["Sec-Websocket-Version"]) != 1 || r.Header["Sec-Websocket-Version"][0] != "13":
		return no(http.StatusUpgradeRequired, "Sec-WebSocket-Version is not 13")
	case len(key) != 1 || !isKey(key[0]):
		return no(http.StatusBadRequest, "Sec-WebSocket-Key is not one key of 16 bytes")
	case r.ContentLength != 0:
		// A body would be read as frames.
		return no(http.StatusBadRequest, "a handshake has no body")
	}
	var salted [64]byte
	sum := sha1.Sum(append(append(salted[:0], strings.TrimSpace(key[0])...), "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...))
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

func isKey(key string) bool {
	key = strings.TrimSpace(key)
	var nonce [18]byte // of which two would be padding
	if len(key) != base64.StdEncoding.EncodedLen(16) {
		return false
	}
	n, err := base64.StdEncoding.Decode(nonce[:], []byte(key))
	return err == nil && n == 16
}

// hasToken looks for token in the comma separated lists of a header.
func hasToken(lists []string, token string) bool {
	for _, list := range lists {
		for item := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(item), token) {
				return true
			}
		}
	}
	return false
}

// agree finds the first of our subprotocols that the peer asked for.
func agree(subprotocols []string, r *http.Request) string {
	asked := r.Header["Sec-Websocket-Protocol"]
	i := slices.IndexFunc(subprotocols, func(ours string) bool { return hasToken(asked, ours) })
	if i < 0 {
		return ""
	}
	return subprotocols[i]
}

func appendAnswer(answer []byte, accept, subprotocol string) []byte {
	answer = append(answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: "...)
	answer = append(append(answer, accept...), "\r\n"...)
	if subprotocol != "" {
		answer = append(append(append(answer, "Sec-WebSocket-Protocol: "...), subprotocol...), "\r\n"...)
	}
	return append(answer, "\r\n"...)
}

func answerHandshake(nc net.Conn, answer []byte) error {
	// This replaces the deadlines that net/http left behind.
	err := nc.SetDeadline(time.Now().Add(handshakeTimeout))
	if err == nil {
		_, err = nc.Write(answer)
	}
	if err == nil {
		err = nc.SetDeadline(time.Time{})
	}
	if err != nil {
		return fmt.Errorf("answering handshake: %w", err)
	}
	return nil
}
