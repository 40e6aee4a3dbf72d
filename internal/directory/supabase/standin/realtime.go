package standin

import (
	"context"
	"encoding/json"
	"hash/crc32"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/jackc/pgx/v5"
)

const (
	// silence ends a socket that does not even send heartbeats.
	silence = time.Minute
	// writeTimeout ends a socket that takes nothing.
	writeTimeout = 5 * time.Second
	// maxFrame is the longest that is read.
	maxFrame = 1 << 20

	subscriptionFailed = "Unable to subscribe to changes with given parameters. Please check Realtime is enabled for the given connect parameters"
)

// realtime answers sockets. A channel is joined at once and subscribed later: it is the system message
// that says so, and what changes in between is lost.
type realtime struct {
	// Fixed after construction.
	project  *Project
	database *pgx.ConnConfig
	feed     *feed

	mu       sync.Mutex
	sockets  map[*socket]struct{}
	channels map[*channel]struct{}
}

func newRealtime(p *Project, database *pgx.ConnConfig) *realtime {
	r := &realtime{
		project: p, database: database,
		sockets: map[*socket]struct{}{}, channels: map[*channel]struct{}{},
	}
	r.feed = newFeed(r)
	return r
}

func (r *realtime) close() { r.feed.close() }

// socket is one connection. Its channels are touched by its reader alone.
type socket struct {
	realtime *realtime
	conn     *websocket.Conn
	ctx      context.Context // ends with the connection
	isV2     bool
	role     string // of the key it came with

	channels map[string]*channel
}

// serve answers one socket until it ends.
func (r *realtime) serve(w http.ResponseWriter, c call) {
	if status := r.project.Faults().Handshake; status != 0 {
		writeJSON(w, status, object{"error": http.StatusText(status)})
		return
	}
	if !r.project.hasRealtime {
		writeJSON(w, http.StatusInternalServerError, object{"error": "Realtime needs a database with wal_level=logical"})
		return
	}
	conn, err := websocket.Accept(w, c.Request, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(maxFrame)
	ctx, cancel := context.WithCancel(c.Context())
	s := &socket{
		realtime: r, conn: conn, ctx: ctx, role: c.role,
		isV2: c.query.Get("vsn") == "2.0.0", channels: map[string]*channel{},
	}
	r.mu.Lock()
	r.sockets[s] = struct{}{}
	r.mu.Unlock()
	s.read()
	cancel()
	r.mu.Lock()
	delete(r.sockets, s)
	r.mu.Unlock()
	for _, ch := range s.channels {
		ch.end()
	}
}

func (s *socket) read() {
	for {
		ctx, cancel := context.WithTimeout(s.ctx, silence)
		kind, text, err := s.conn.Read(ctx)
		cancel()
		if err != nil {
			return
		}
		f, err := decodeFrame(text, s.isV2)
		if err != nil || kind != websocket.MessageText {
			return
		}
		s.handle(f)
	}
}

// send writes a frame; a socket that does not take it in time is cut.
func (s *socket) send(f frame) {
	if s.realtime.project.Faults().Blackhole {
		return
	}
	text, err := f.encode(s.isV2)
	if err != nil {
		panic(err) // what the stand-in writes has a JSON form
	}
	ctx, cancel := context.WithTimeout(s.ctx, writeTimeout)
	defer cancel()
	_ = s.conn.Write(ctx, websocket.MessageText, text) // the reader sees that the socket is gone
}

func (s *socket) reply(f frame, status string, response any) {
	f.Event, f.Payload = "phx_reply", object{"status": status, "response": response}.raw()
	s.send(f)
}

func (s *socket) handle(f frame) {
	if s.realtime.project.Faults().Blackhole {
		return
	}
	ch := s.channels[f.Topic]
	if ch != nil && ch.ctx.Err() != nil {
		delete(s.channels, f.Topic) // the server has closed it
		ch.end()
		ch = nil
	}
	switch {
	case f.Topic == "phoenix" && f.Event == "heartbeat":
		s.reply(f, "ok", object{})
	case f.Event == "phx_join":
		if ch != nil {
			ch.closed()
		}
		s.join(f)
	case f.Event == "phx_leave":
		s.reply(f, "ok", object{})
		if ch != nil {
			delete(s.channels, f.Topic)
			ch.closed()
		}
	case ch == nil:
		s.reply(f, "error", object{"reason": "unmatched topic"})
	case f.Event == "access_token":
		ch.refresh(f)
	}
}

// binding is one subscription a client asks for; it is echoed with an id that events name.
type binding struct {
	ID     int    `json:"id,omitempty"`
	Event  string `json:"event"`
	Schema string `json:"schema"`
	Table  string `json:"table,omitempty"`
	Filter string `json:"filter,omitempty"`
}

func (b binding) wants(c change) bool {
	return (b.Event == "*" || strings.EqualFold(b.Event, c.kind)) &&
		(b.Schema == "*" || b.Schema == c.relation.schema) &&
		(b.Table == "" || b.Table == "*" || b.Table == c.relation.name)
}

type joinPayload struct {
	Config struct {
		Changes  []binding `json:"postgres_changes"`
		Presence struct {
			Enabled bool `json:"enabled"`
		} `json:"presence"`
	} `json:"config"`
	AccessToken string `json:"access_token"`
}

func (s *socket) join(f frame) {
	refuse := func(reason string) { s.reply(f, "error", object{"reason": reason}) }
	var payload joinPayload
	if err := json.Unmarshal(f.Payload, &payload); err != nil {
		refuse("InvalidJoinPayload: " + err.Error())
		return
	}
	role, reason := s.roleOf(payload.AccessToken)
	if fault := s.realtime.project.Faults().JoinError; fault != "" {
		reason = fault
	}
	if strings.TrimPrefix(f.Topic, "realtime:") == "" {
		reason = "TopicNameRequired: You must provide a topic name"
	}
	bindings := payload.Config.Changes
	for i := range bindings {
		b := &bindings[i]
		if b.Filter != "" {
			reason = "the stand-in knows no filters"
		}
		// As a hash of what was asked for, the id is the same on every channel; 0 the client takes for none.
		b.ID = int(crc32.ChecksumIEEE([]byte(b.Event+"\x00"+b.Schema+"\x00"+b.Table))>>5) + 1
	}
	if reason != "" {
		refuse(reason)
		return
	}
	ch := &channel{socket: s, topic: f.Topic, joinRef: f.JoinRef, bindings: bindings, role: role, token: payload.AccessToken}
	if ch.joinRef == nil {
		ch.joinRef = f.Ref // version 1.0.0 may send none
	}
	ch.ctx, ch.cancel = context.WithCancel(s.ctx)
	s.channels[f.Topic] = ch
	s.reply(f, "ok", object{"postgres_changes": append([]binding{}, bindings...)})
	if payload.Config.Presence.Enabled {
		ch.send("presence_state", object{})
	}
	ch.start()
}

// roleOf is the role of a token that a channel brings, or else that of its socket; or why not.
func (s *socket) roleOf(token string) (role, reason string) {
	if token == "" || isNewKind(token) {
		return s.role, ""
	}
	role, err := s.realtime.project.claimedRole(token)
	switch {
	case err == errExpired:
		reason = "InvalidJWTToken: Token has expired"
	case err != nil && strings.Count(token, ".") != 2:
		reason = "MalformedJWT: The token provided is not a valid JWT"
	case err != nil:
		reason = "JwtSignatureError: Failed to validate JWT signature"
	}
	return role, reason
}
