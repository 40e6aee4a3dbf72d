package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/api"
)

// as calls with another token.
func (d *door) as(secret api.Key) *api.Client {
	d.t.Helper()
	c, err := api.NewClient(d.url, string(secret))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(c.Close)
	return c
}

// described are the operations of the document, by path and method.
func (d *door) described() map[string]map[string]describedOperation {
	d.t.Helper()
	var doc struct {
		Paths map[string]map[string]describedOperation
	}
	if err := json.Unmarshal(d.admin.openAPI, &doc); err != nil {
		d.t.Fatal(err)
	}
	return doc.Paths
}

type describedOperation struct {
	OperationID string `json:"operationId"`
	Security    []map[string][]string
}

func (d *door) token(name string, scopes ...api.Scope) api.TokenKey {
	d.t.Helper()
	k, err := d.AddToken(d.t.Context(), api.NewToken{Name: name, Scopes: scopes})
	if err != nil {
		d.t.Fatal(err)
	}
	return k
}

func TestEveryOperationNeedsItsScopeAndTheTableNamesThemAll(t *testing.T) {
	d := openDoor(t)
	secrets := map[api.Scope]api.Key{}
	for _, s := range []api.Scope{api.ScopePublish, api.ScopeRead, api.ScopeAdmin} {
		secrets[s] = d.token("", s).Secret
	}
	seen := 0
	for path, item := range d.described() {
		for method, op := range item {
			if isPublic(path) {
				continue
			}
			seen++
			needed, ok := scopes[op.OperationID]
			if !ok {
				t.Errorf("%s is not in the table of scopes", op.OperationID)
			}
			if len(op.Security) != 1 || fmt.Sprint(op.Security[0]["token"]) != fmt.Sprint([]api.Scope{needed}) {
				t.Errorf("%s: the document says %v, the table %s", op.OperationID, op.Security, needed)
			}
			target := strings.NewReplacer("{id}", "x", "{profile}", "cmdline").Replace(path)
			for scope, secret := range secrets {
				if scope == needed || scope == api.ScopeAdmin {
					continue
				}
				a := d.raw(strings.ToUpper(method), target, "", "Authorization: Bearer "+string(secret))
				checkProblem(t, op.OperationID+" with "+string(scope), a, api.CodeScopeMissing)
				if !strings.Contains(a.body, "--scope "+string(needed)) {
					t.Errorf("%s: the hint does not name the scope: %s", op.OperationID, a.body)
				}
			}
		}
	}
	if seen != len(scopes) {
		t.Errorf("%d operations need a scope, the table has %d", seen, len(scopes))
	}
}

func TestATokenDoesWhatItsScopesSayAndAdminDoesAll(t *testing.T) {
	d, ctx := openDoor(t), t.Context()
	message := api.Message{To: api.Target{All: true}, Data: []byte(`1`)}
	if _, err := d.as(d.token("", api.ScopePublish).Secret).Publish(ctx, message); err != nil {
		t.Errorf("publish: %v", err)
	}
	if _, err := d.as(d.token("", api.ScopeRead).Secret).Accounts(ctx); err != nil {
		t.Errorf("read: %v", err)
	}
	both := d.as(d.token("", api.ScopeRead, api.ScopePublish).Secret)
	if _, err := both.Publish(ctx, message); err != nil {
		t.Errorf("two scopes: %v", err)
	}
	if _, err := both.AddAccount(ctx, "x"); !errors.Is(err, api.CodeScopeMissing) {
		t.Errorf("two scopes are not all: %v", err)
	}
	admin := d.as(d.token("", api.ScopeAdmin).Secret)
	if _, err := admin.Publish(ctx, message); err != nil {
		t.Errorf("admin: %v", err)
	}
	if k, err := admin.AddToken(ctx, api.NewToken{Scopes: []api.Scope{api.ScopeRead}}); err != nil || k.Secret == "" {
		t.Errorf("admin: %v", err)
	}
}

func TestADeletedTokenOpensNothingAtOnceOnEveryNode(t *testing.T) {
	here, ctx := openDoor(t), t.Context()
	// Another node of the same installation: the same log, a door of its own.
	there := &door{t: t, online: map[string]int{}, log: &syncBuffer{}, broker: here.broker, dir: here.dir}
	there.serve(here.admin.log, nil)
	k := here.token("ci", api.ScopePublish, api.ScopeRead)
	clients := []*api.Client{here.as(k.Secret), there.as(k.Secret)}
	stream, err := clients[1].OpenStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	line := api.Message{To: api.Target{All: true}, Data: []byte(`1`)}
	if err := stream.Send(line); err != nil {
		t.Fatal(err)
	}
	if r, err := stream.Receive(); err != nil || r.Seq == 0 {
		t.Fatalf("a line before: %+v, %v", r, err)
	}
	for _, c := range clients {
		if _, err := c.Accounts(ctx); err != nil {
			t.Fatalf("before: %v", err)
		}
	}
	if err := here.DeleteToken(ctx, "ci"); err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		if _, err := c.Accounts(ctx); !errors.Is(err, api.CodeUnauthorized) {
			t.Errorf("after: got %v", err)
		}
	}
	stream.Send(line) // the answer says what became of it
	if r, err := stream.Receive(); !errors.Is(err, api.CodeUnauthorized) {
		t.Errorf("a stream that was open: got %+v, %v", r, err)
	}
	if err := here.DeleteToken(ctx, k.ID); !errors.Is(err, api.CodeTokenNotFound) {
		t.Errorf("again: got %v", err)
	}
}

func TestTheListShowsScopesAndLastUseAndNoSecret(t *testing.T) {
	d, ctx := openDoor(t), t.Context()
	k := d.token("dashboard", api.ScopeRead)
	list, err := d.Tokens(ctx)
	if err != nil || len(list) != 1 || list[0].Name != "dashboard" || list[0].ID != k.ID || !list[0].LastUsedAt.IsZero() || list[0].CreatedAt.IsZero() {
		t.Fatalf("got %+v, %v", list, err)
	}
	d.as(k.Secret).Accounts(ctx)
	for _, when := range []string{"in memory", "stored"} {
		if list, err = d.Tokens(ctx); err != nil || len(list) != 1 || list[0].LastUsedAt.IsZero() || list[0].LastUsedAt.Second() != 0 {
			t.Errorf("%s: got %+v, %v", when, list, err)
		}
		d.admin.tokens.flush(ctx)
	}
	if _, err := d.AddToken(ctx, api.NewToken{Name: "dashboard", Scopes: []api.Scope{api.ScopeRead}}); !errors.Is(err, api.CodeTokenExists) {
		t.Errorf("a second of the same name: %v", err)
	}
	a := d.raw("GET", "/v1/tokens", "")
	if shown := a.body + d.log.String(); strings.Contains(shown, string(k.Secret)) || strings.Contains(a.body, digestOf(string(k.Secret))) {
		t.Errorf("the secret or its digest is shown: %s", shown)
	}
	if !strings.Contains(d.log.String(), `"call":"add-token","by":"root"`) {
		t.Errorf("the log does not say who made the token:\n%s", d.log)
	}
	err = d.broker.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.as(k.Secret).Accounts(ctx); !errors.Is(err, api.CodeBrokerUnavailable) {
		t.Errorf("without the log a token is not known and not refused: %v", err)
	}
	if a := d.raw("GET", "/metrics", ""); a.status != http.StatusOK {
		t.Errorf("the root needs no log: %d", a.status)
	}
}

func TestManyBadTokensOfOneAddressAreToldToWaitAndGoodOnesAreNot(t *testing.T) {
	d := openDoor(t)
	k := d.token("", api.ScopeRead)
	var last rawAnswer
	for range failuresPerMinute + 1 {
		last = d.raw("GET", "/v1/accounts", "", "Authorization: Bearer flo_guess")
	}
	checkProblem(t, "one too many", last, api.CodeTooManyAttempts)
	if last.header.Get("Retry-After") == "" {
		t.Errorf("429: %v", last.header)
	}
	for _, secret := range []api.Key{k.Secret, testToken} {
		if _, err := d.as(secret).Accounts(t.Context()); err != nil {
			t.Errorf("a good token is held up: %v", err)
		}
	}
}
