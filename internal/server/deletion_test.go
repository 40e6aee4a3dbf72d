package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/fleetlinetest"
	"github.com/fleetline/fleetline/internal/server"
)

const (
	toldDeleted = "machine_deleted 4500"
	badKey      = "auth_failed 4501"
	badToken    = "auth_failed 4005"
)

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func deleteMachine(t *testing.T, g *fleetlinetest.Gateway, id string) {
	t.Helper()
	if err := g.API.DeleteMachine(context.Background(), id); err != nil {
		t.Fatal(err)
	}
}

func TestADeletedEnrolledMachineIsToldAndStaysDeleted(t *testing.T) {
	t.Parallel()
	g := fleetlinetest.Start(t)
	_, key := g.AddAccount("a")
	_, otherKey := g.AddAccount("b")
	online, hello := login(t, g.URL, withHWID(key, "hw"))
	sibling, _ := login(t, g.URL, withHWID(key, "hw2"))
	id, token := hello.text("machineId"), hello.text("sessionToken")
	deleteMachine(t, g, id)
	want(t, "online", online.end(), toldDeleted)
	check := func(when string) {
		t.Helper()
		withID := frame{"type": "auth", "apiKey": key, "v": 1, "machineId": id}
		unknownKey := frame{"type": "auth", "apiKey": "flk_unknown", "v": 1, "machineId": id}
		want(t, when+", by key and hwid", refused(t, g.URL, withHWID(key, "hw")), toldDeleted)
		want(t, when+", by machineId", refused(t, g.URL, withID), toldDeleted)
		want(t, when+", by token", refused(t, g.URL, withToken(token)), toldDeleted)
		want(t, when+", by machineId with an unknown key", refused(t, g.URL, unknownKey), toldDeleted)
		want(t, when+", an unknown key alone", refused(t, g.URL, withKey("flk_unknown")), badKey)
	}
	check("offline")
	sibling.say(frame{"type": "pong"})
	deleteMachine(t, g, id) // again is nothing
	g.Restart()
	check("after a restart")
	_, foreign := login(t, g.URL, frame{"type": "auth", "apiKey": otherKey, "v": 1, "machineId": id, "machine": frame{"hwid": "hw"}})
	if foreign.text("machineId") == id {
		t.Error("another account was given the deleted machine's id")
	}
	if err := g.API.ReadmitMachine(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	_, back := login(t, g.URL, withHWID(key, "hw"))
	want(t, "after readmit", back.text("machineId"), id)
}

func TestADeletedDefaultMachineStaysDeletedForItsKey(t *testing.T) {
	g := fleetlinetest.Start(t)
	account, key := g.AddAccount("a")
	one, _ := login(t, g.URL, withKey(key))
	two, _ := login(t, g.URL, withKey(key))
	id := onlyMachine(t, g, account)
	deleteMachine(t, g, id)
	want(t, "its first session", one.end(), toldDeleted)
	want(t, "its second session", two.end(), toldDeleted)
	want(t, "by key", refused(t, g.URL, withKey(key)), toldDeleted)
	g.Restart()
	want(t, "by key after a restart", refused(t, g.URL, withKey(key)), toldDeleted)
	_, enrolled := login(t, g.URL, withHWID(key, "hw")) // the account itself is as it was
	if enrolled.text("machineId") == id {
		t.Error("an enrolled machine was given the default machine's id")
	}
	rotated, err := g.API.RotateKey(t.Context(), account, 0)
	if err != nil {
		t.Fatal(err)
	}
	login(t, g.URL, withKey(string(rotated.APIKey)))
	want(t, "by the old key", refused(t, g.URL, withKey(key)), badKey)
}

func onlyMachine(t *testing.T, g *fleetlinetest.Gateway, account string) string {
	t.Helper()
	var ids []string
	for m, err := range g.API.Machines(t.Context(), api.MachineQuery{Account: account}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, m.ID)
	}
	if len(ids) != 1 {
		t.Fatalf("machines %v, want one", ids)
	}
	return ids[0]
}

func TestDeletingAnAccountTellsAllItsMachines(t *testing.T) {
	t.Parallel()
	g := fleetlinetest.Start(t)
	account, key := g.AddAccount("a")
	_, otherKey := g.AddAccount("b")
	bare, _ := login(t, g.URL, withKey(key))
	enrolled, hello := login(t, g.URL, withHWID(key, "hw"))
	_, offline := login(t, g.URL, withHWID(key, "hw2"))
	other, _ := login(t, g.URL, withKey(otherKey))
	if err := g.API.DeleteAccount(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	want(t, "its default machine", bare.end(), toldDeleted)
	want(t, "its enrolled machine", enrolled.end(), toldDeleted)
	for _, when := range []string{"offline", "after a restart"} {
		want(t, when+", by key alone", refused(t, g.URL, withKey(key)), badKey)
		want(t, when+", by token", refused(t, g.URL, withToken(hello.text("sessionToken"))), toldDeleted)
		byID := frame{"type": "auth", "apiKey": key, "v": 1, "machineId": offline.text("machineId")}
		want(t, when+", by key and machineId", refused(t, g.URL, byID), toldDeleted)
		if when == "offline" {
			g.Publish(api.Target{All: true}, `1`)
			if f := other.next(); f.text("type") != "data" {
				t.Errorf("the other account's machine got %v", f)
			}
			g.Restart()
		}
	}
}

func TestARotatedKeyEndsTheSessionsOfTheOldOneWhenItsGraceIsOver(t *testing.T) {
	t.Parallel()
	g := fleetlinetest.Start(t)
	account, key := g.AddAccount("a")
	old, hello := login(t, g.URL, withHWID(key, "hw"))
	rotated, err := g.API.RotateKey(t.Context(), account, 8*time.Second) // two logins may take as long
	if err != nil {
		t.Fatal(err)
	}
	fresh, again := login(t, g.URL, withHWID(string(rotated.APIKey), "hw"))
	want(t, "the same machine", again.text("machineId"), hello.text("machineId"))
	login(t, g.URL, withHWID(key, "hw")) // within the grace
	want(t, "the old key's session", old.end(), badKey)
	want(t, "the old key", refused(t, g.URL, withHWID(key, "hw")), badKey)
	want(t, "the old key's token", refused(t, g.URL, withToken(hello.text("sessionToken"))), badToken)
	g.Publish(api.Target{Account: account}, `1`)
	if f := fresh.next(); f.text("type") != "data" {
		t.Errorf("the new key's session got %v", f)
	}
}

func TestABrokerThatDoesNotAnswerDeletesNobodyAndSaysSo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, ops, stop := open(t, dir)
	account, err := ops.AddAccount(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	auth := withHWID(string(account.APIKey), "hw")
	l, hello := login(t, s.URL(), auth)
	s.Broker().JetStream().Conn().Close() // nothing can be written any more, the lease neither
	err = ops.DeleteMachine(t.Context(), hello.text("machineId"))
	var refusal *api.Error
	if !errors.As(err, &refusal) || refusal.Status != 503 {
		t.Fatalf("deleting without a broker: %v, want 503", err)
	}
	want(t, "its session", l.end(), "nothing 1012")
	if _, err := ops.Ready(t.Context()); err == nil {
		t.Error("the gateway says that it is ready")
	}
	_ = stop() // it cannot write down that it stopped
	s, _, stop = open(t, dir)
	_, back := login(t, s.URL(), auth)
	want(t, "the machine after the restart", back.text("machineId"), hello.text("machineId"))
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// open runs a server whose stop may fail.
func open(t *testing.T, dir string) (*server.Server, *api.Client, func() error) {
	t.Helper()
	s, err := server.Open(t.Context(), server.Config{
		DataDir: dir, Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", StoreMaxBytes: smallStore,
		ShowFirstKey: func(string, string) {}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ops, err := api.NewClient(s.AdminURL(), string(s.AdminToken()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- errors.Join(s.Run(ctx), s.Close()) }() // the returned func ends it and waits
	return s, ops, func() error {
		stop()
		ops.Close()
		return <-done
	}
}

func TestAFullStoreRefusesPublishesAndGoesOnDeleting(t *testing.T) {
	t.Parallel()
	// The machine does not read while the store is filled, which must not pass for silence.
	g := fleetlinetest.StartWith(t, fleetlinetest.Config{StoreMaxBytes: smallStore, Heartbeat: 10 * time.Minute})
	_, key := g.AddAccount("a")
	l, hello := login(t, g.URL, withHWID(key, "hw"))
	fillStore(t, g)
	deleteMachine(t, g, hello.text("machineId"))
	want(t, "online", l.end(), toldDeleted)
	_, other := login(t, g.URL, withHWID(key, "hw2"))
	if _, err := g.API.AddAccount(t.Context(), "b"); err != nil {
		t.Errorf("adding an account to a full store: %v", err)
	}
	g.Restart()
	want(t, "after a restart", refused(t, g.URL, withHWID(key, "hw")), toldDeleted)
	login(t, g.URL, withToken(other.text("sessionToken")))
}

const smallStore = 96 << 20

// fillStore fills it to the last byte that a message may have: large ones first, then small ones.
func fillStore(t *testing.T, g *fleetlinetest.Gateway) {
	t.Helper()
	for _, size := range []int{900 << 10, 32 << 10, 1 << 10, 1} {
		fillStoreWith(t, g, size)
	}
}

func fillStoreWith(t *testing.T, g *fleetlinetest.Gateway, size int) {
	t.Helper()
	data := json.RawMessage(`"` + strings.Repeat("x", size) + `"`)
	for range smallStore / len(data) {
		_, err := g.API.Publish(t.Context(), api.Message{To: api.Target{Account: onlyAccount(t, g)}, Data: data})
		var refusal *api.Error
		if errors.As(err, &refusal) && refusal.Status == 507 && refusal.Code == api.CodeStoreFull {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the store took more than it may hold")
}

func onlyAccount(t *testing.T, g *fleetlinetest.Gateway) string {
	t.Helper()
	all, err := g.API.Accounts(t.Context())
	if err != nil || len(all) == 0 {
		t.Fatalf("accounts %v, %v", all, err)
	}
	return all[len(all)-1].ID
}

// A machine that does not answer the close stays in the hub for a while. Its revocation comes back
// through the log meanwhile, and must not be taken for news.
func TestADeletionIsWrittenIntoTheLogOnce(t *testing.T) {
	g := fleetlinetest.Start(t)
	account, key := g.AddAccount("a")
	_, hello := login(t, g.URL, withHWID(key, "deleted"))
	login(t, g.URL, withHWID(key, "rotated"))
	deleteMachine(t, g, hello.text("machineId"))
	awaitRevocations(t, g, 1)
	if _, err := g.API.RotateKey(t.Context(), account, 0); err != nil {
		t.Fatal(err)
	}
	awaitRevocations(t, g, 2)
}

// awaitRevocations waits until n revocations were written, and then as many entries of the log again
// as would show one more.
func awaitRevocations(t *testing.T, g *fleetlinetest.Gateway, n int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for revocations(t, g) < n && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	for range 200 {
		g.Publish(api.Target{All: true}, `0`)
	}
	if got := revocations(t, g); got != n {
		t.Errorf("%d revocations were written, want %d", got, n)
	}
}

func revocations(t *testing.T, g *fleetlinetest.Gateway) int {
	t.Helper()
	_, rest, ok := strings.Cut(metricsPage(t, g), "\nfleetline_broker_revocations_total ")
	if !ok {
		t.Fatal("the metric is not there")
	}
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
