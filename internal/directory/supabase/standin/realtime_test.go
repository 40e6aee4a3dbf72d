package standin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/fleetline/fleetline/internal/directory/pgtest"
)

// patience is how long a frame may take before it counts as missing.
const patience = 20 * time.Second

// TestRealtime runs on one server of its own: the shared one has no logical decoding.
func TestRealtime(t *testing.T) {
	server := pgtest.Start(t, "wal_level=logical")
	for _, x := range []struct {
		name string
		test func(*testing.T, *pgtest.Server)
	}{
		{"AJoinIsAnsweredBeforeItIsSubscribedAndWhatChangesInBetweenIsLost", earlyReply},
		{"FramesHaveTheShapeOfRealtime", shapes},
		{"TheReplicaIdentityAndRowLevelSecuritySayWhatADeletionTells", deletions},
		{"ATruncateIsNeverToldAndACascadeTellsEveryRow", truncates},
		{"ATableThatIsNotPublishedIsASystemErrorAndTheChannelStaysOpen", unpublished},
		{"ANewSlotReplaysNothing", newSlot},
		{"ABadTokenEndsTheChannel", badTokens},
		{"EveryFaultOfRealtimeIsThereUntilItIsHealed", realtimeFaults},
		{"ASocketIsRefusedWithAStatus", refusedSockets},
		{"AFeedLivesThroughARestartOfTheDatabase", databaseRestart}, // last: it stops the server
	} {
		t.Run(x.name, func(t *testing.T) { x.test(t, server) })
	}
}

// withFeed is a project whose table "user" is published, before anything has changed in it.
func withFeed(t *testing.T, server *pgtest.Server, config Config) (*Project, *pgtest.Database) {
	t.Helper()
	d := server.Database(t)
	d.Exec(t, userTable)
	p := StartWith(t, d.URL, config)
	d.Exec(t, `alter publication supabase_realtime add table "user"`)
	return p, d
}

// peer is a client that does nothing by itself.
type peer struct {
	conn *websocket.Conn
	isV2 bool
	refs int
}

func dial(t *testing.T, p *Project, vsn string) *peer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	url := strings.Replace(p.URL, "http", "ws", 1) + "/realtime/v1/websocket?apikey=" + p.Keys().Secret + "&vsn=" + vsn
	conn, response, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		t.Fatalf("dialing: %v", err)
	}
	if response.Body != nil {
		_ = response.Body.Close()
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &peer{conn: conn, isV2: vsn == "2.0.0"}
}

func (c *peer) send(t *testing.T, topic, event, payload string) {
	t.Helper()
	c.refs++
	ref := fmt.Sprint(c.refs)
	text, err := frame{JoinRef: &ref, Ref: &ref, Topic: topic, Event: event, Payload: json.RawMessage(payload)}.encode(c.isV2)
	if err == nil {
		err = c.conn.Write(t.Context(), websocket.MessageText, text)
	}
	if err != nil {
		t.Fatalf("sending %s: %v", event, err)
	}
}

// next is the next frame's text.
func (c *peer) next(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, text, err := c.conn.Read(ctx)
	if err != nil {
		t.Fatalf("reading a frame: %v", err)
	}
	return string(text)
}

// wants demands the next frame; * in want is anything.
func (c *peer) wants(t *testing.T, want string) {
	t.Helper()
	got := c.next(t)
	rest, fits := got, true
	for i, part := range strings.Split(want, "*") {
		at := strings.Index(rest, part)
		fits = fits && at >= 0 && (i > 0 || at == 0)
		if fits {
			rest = rest[at+len(part):]
		}
	}
	if !fits || rest != "" && !strings.HasSuffix(want, "*") {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func (c *peer) join(t *testing.T, table string) {
	t.Helper()
	c.send(t, "realtime:a", "phx_join", `{"config":{"postgres_changes":[{"event":"*","schema":"public","table":"`+table+`"}]}}`)
	c.wants(t, `*"phx_reply"*"status":"ok"*`)
}

func (c *peer) subscribe(t *testing.T) {
	t.Helper()
	c.join(t, "user")
	c.wants(t, `*"Subscribed to PostgreSQL"*`)
}

func earlyReply(t *testing.T, server *pgtest.Server) {
	p, d := withFeed(t, server, Config{})
	d.Exec(t, `insert into "user" (apikey) values ('before')`)
	first := dial(t, p, "2.0.0")
	first.subscribe(t)

	p.Break(Faults{SystemDelay: time.Second})
	second := dial(t, p, "2.0.0")
	second.join(t, "user")
	d.Exec(t, `insert into "user" (apikey) values ('between')`)
	first.wants(t, `*"INSERT"*`) // it is read now
	second.wants(t, `*"Subscribed to PostgreSQL"*`)
	d.Exec(t, `insert into "user" (apikey) values ('after')`)
	first.wants(t, `*"record":{"apikey":"after","id":3}*`)
	second.wants(t, `*"record":{"apikey":"after","id":3}*`)
}

func shapes(t *testing.T, server *pgtest.Server) {
	p, d := withFeed(t, server, Config{})
	two := dial(t, p, "2.0.0")
	two.send(t, "phoenix", "heartbeat", `{}`)
	two.wants(t, `["1","1","phoenix","phx_reply",{"response":{},"status":"ok"}]`)
	two.send(t, "realtime:a", "phx_join", `{"config":{"presence":{"enabled":true},"postgres_changes":[{"event":"*","schema":"public","table":"user"}]}}`)
	two.wants(t, `["2","2","realtime:a","phx_reply",{"response":{"postgres_changes":[{"id":*,"event":"*","schema":"public","table":"user"}]},"status":"ok"}]`)
	two.wants(t, `["2",null,"realtime:a","presence_state",{}]`)
	two.wants(t, `["2",null,"realtime:a","system",{"channel":"a","extension":"postgres_changes","message":"Subscribed to PostgreSQL","status":"ok"}]`)

	one := dial(t, p, "1.0.0")
	one.send(t, "realtime:b", "phx_join", `{"config":{"postgres_changes":[{"event":"DELETE","schema":"public"}]}}`)
	one.wants(t, `{"ref":"1","topic":"realtime:b","event":"phx_reply","payload":{"response":{"postgres_changes":[{"id":*,"event":"DELETE","schema":"public"}]},"status":"ok"}}`)
	one.wants(t, `{"ref":null,"topic":"realtime:b","event":"system",*`)

	d.Exec(t, `insert into "user" (apikey) values ('k')`)
	d.Exec(t, `update "user" set apikey = 'l'`)
	d.Exec(t, `update "user" set id = 7`)
	d.Exec(t, `delete from "user"`)
	head, columns := `[null,null,"realtime:a","postgres_changes",{"data":{`, `"columns":[{"name":"id","type":"int8"},{"name":"apikey","type":"text"}],"commit_timestamp":"2*Z","errors":null,`
	two.wants(t, head+columns+`"record":{"apikey":"k","id":1},"schema":"public","table":"user","type":"INSERT"},"ids":[*]}]`)
	two.wants(t, head+columns+`"old_record":{"id":1},"record":{"apikey":"l","id":1},"schema":"public","table":"user","type":"UPDATE"},"ids":[*]}]`)
	two.wants(t, head+columns+`"old_record":{"id":1},"record":{"apikey":"l","id":7},"schema":"public","table":"user","type":"UPDATE"},"ids":[*]}]`)
	two.wants(t, head+columns+`"old_record":{"id":7},"schema":"public","table":"user","type":"DELETE"},"ids":[*]}]`)
	one.wants(t, `{"ref":null,"topic":"realtime:b","event":"postgres_changes","payload":{"data":{*"DELETE"*`)

	two.send(t, "realtime:a", "phx_leave", `{}`)
	two.wants(t, `["3","3","realtime:a","phx_reply",{"response":{},"status":"ok"}]`)
	two.wants(t, `["2","2","realtime:a","phx_close",{}]`)
	two.send(t, "realtime:a", "access_token", `{}`)
	two.wants(t, `["4","4","realtime:a","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]`)
}

func deletions(t *testing.T, server *pgtest.Server) {
	p, d := withFeed(t, server, Config{})
	c := dial(t, p, "2.0.0")
	c.subscribe(t)
	d.Exec(t, `alter table "user" replica identity full; insert into "user" values (1, 'k'), (2, 'l'); delete from "user" where id = 1`)
	c.wants(t, `*"INSERT"*`)
	c.wants(t, `*"INSERT"*`)
	c.wants(t, `*"old_record":{"apikey":"k","id":1}*"DELETE"*`)
	d.Exec(t, `alter table "user" enable row level security; delete from "user"`)
	c.wants(t, `*"old_record":{"id":2}*"DELETE"*`)
	// In one transaction, and so in one poll: there is nothing to see any more when it is asked.
	d.Exec(t, `begin; insert into "user" values (3, 'm'); delete from "user"; commit`)
	c.wants(t, `*"old_record":{"id":3}*"DELETE"*`)

	anon := dial(t, p, "2.0.0")
	anon.send(t, "realtime:anon", "phx_join", `{"access_token":"`+p.Keys().Anon+`","config":{"postgres_changes":[{"event":"*","schema":"public","table":"user"}]}}`)
	anon.wants(t, `*"phx_reply"*`)
	anon.wants(t, `*"system"*"ok"*`)
	d.Exec(t, `insert into "user" values (4, 'n')`)
	c.wants(t, `*"INSERT"*`)
	d.Exec(t, `delete from "user"`)
	c.wants(t, `*"DELETE"*`)
	anon.wants(t, `*"old_record":{"id":4}*"DELETE"*`)
}

func truncates(t *testing.T, server *pgtest.Server) {
	p, d := withFeed(t, server, Config{})
	d.Exec(t, `create table machines (id int primary key, owner bigint references "user" on delete cascade);
		alter publication supabase_realtime add table machines`)
	c := dial(t, p, "2.0.0")
	c.send(t, "realtime:a", "phx_join", `{"config":{"postgres_changes":[{"event":"DELETE","schema":"public","table":"*"}]}}`)
	c.wants(t, `*"phx_reply"*`)
	c.wants(t, `*"system"*"ok"*`)
	d.Exec(t, `insert into "user" values (1, 'k'); insert into machines values (5, 1), (6, 1)`)
	d.Exec(t, `truncate "user" cascade`)
	d.Exec(t, `insert into "user" values (2, 'k'); insert into machines values (7, 2), (8, 2)`)
	d.Exec(t, `delete from "user"`)
	c.wants(t, `*"old_record":{"id":2}*"user"*`)
	c.wants(t, `*"old_record":{"id":7}*"machines"*`)
	c.wants(t, `*"old_record":{"id":8}*"machines"*`)
}

func unpublished(t *testing.T, server *pgtest.Server) {
	p, d := withFeed(t, server, Config{PublicationCheck: time.Millisecond})
	d.Exec(t, `create table other (id int primary key)`)
	c := dial(t, p, "2.0.0")
	c.join(t, "other")
	c.wants(t, `*"system"*"Unable to subscribe to changes with given parameters. *"status":"error"*`)
	c.send(t, "phoenix", "heartbeat", `{}`)
	c.wants(t, `*"phoenix"*`)

	published := dial(t, p, "2.0.0")
	published.subscribe(t)
	d.Exec(t, `alter publication supabase_realtime add table other`)
	published.wants(t, `*"Subscribed to PostgreSQL"*`)

	c.send(t, "realtime:a", "phx_join", `{"config":{"postgres_changes":[{"event":"*","schema":"public","table":"other"}]}}`)
	c.wants(t, `*"phx_close"*`) // the older of two joins
	c.wants(t, `*"phx_reply"*"status":"ok"*`)
	c.wants(t, `*"Subscribed to PostgreSQL"*`)
}

func newSlot(t *testing.T, server *pgtest.Server) {
	p, d := withFeed(t, server, Config{})
	c := dial(t, p, "2.0.0")
	c.subscribe(t)
	p.Break(Faults{SystemDelay: time.Second})
	p.RestartRealtime()
	d.Exec(t, `insert into "user" (apikey) values ('lost')`)
	c.wants(t, `*"Subscribed to PostgreSQL"*`)
	d.Exec(t, `insert into "user" (apikey) values ('seen')`)
	c.wants(t, `*"record":{"apikey":"seen","id":2}*`)
}

func databaseRestart(t *testing.T, server *pgtest.Server) {
	p, d := withFeed(t, server, Config{})
	c := dial(t, p, "2.0.0")
	c.subscribe(t)
	server.Stop(t)
	if got := ask(t, p, "GET", "/rest/v1/user", ""); got.status != 503 {
		t.Errorf("without a database it answers %d %s", got.status, got.body)
	}
	server.Restart(t)
	c.wants(t, `*"Subscribed to PostgreSQL"*`)
	d.Exec(t, `insert into "user" (apikey) values ('seen')`)
	c.wants(t, `*"record":{"apikey":"seen"*`)
}

func badTokens(t *testing.T, server *pgtest.Server) {
	p, _ := withFeed(t, server, Config{})
	c := dial(t, p, "2.0.0")
	c.send(t, "realtime:", "phx_join", `{}`)
	c.wants(t, `*"TopicNameRequired: You must provide a topic name"*`)
	expired := p.Token(ServiceRole, time.Now().Add(-time.Hour))
	c.send(t, "realtime:a", "phx_join", `{"access_token":"`+expired+`"}`)
	c.wants(t, `*"InvalidJWTToken: Token has expired"*"status":"error"*`)
	c.subscribe(t)
	c.send(t, "realtime:a", "access_token", `{"access_token":"sb_secret_ignored"}`)
	c.send(t, "realtime:a", "access_token", `{"access_token":"`+p.Keys().ServiceRole+`"}`)
	c.wants(t, `*"Subscribed to PostgreSQL"*`)
	c.send(t, "realtime:a", "access_token", `{"access_token":"`+expired+`"}`)
	c.wants(t, `*"system",{"channel":"a","extension":"system",*"status":"error"*`)
	c.wants(t, `*"phx_close"*`)
}
