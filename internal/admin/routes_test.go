package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/api"
)

// pasted is a key in a place where none belongs.
const pasted = "flk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// refusedRequest is a request that is wrong, and the code that says how.
type refusedRequest struct {
	method, path, body string
	code               api.Code
	headers            []string
}

func refusedRequests() []refusedRequest {
	quoted := `"` + pasted + `"`
	return []refusedRequest{
		{"POST", "/v1/accounts", ``, api.CodeInvalidJSON, []string{"Content-Type: application/json"}},
		{"POST", "/v1/accounts", `{"name":`, api.CodeInvalidJSON, nil},
		{"POST", "/v1/accounts", quoted, api.CodeInvalidRequest, nil},
		{"POST", "/v1/accounts", `{"name":[` + quoted + `]}`, api.CodeInvalidRequest, nil},
		{"POST", "/v1/accounts", `{` + quoted + `:1}`, api.CodeUnknownField, nil},
		{"POST", "/v1/accounts", `{"name":"` + strings.Repeat("n", api.MaxName+1) + `"}`, api.CodeInvalidRequest, nil},
		{"POST", "/v1/accounts", `{"name":"` + strings.Repeat("n", maxSmallBody) + `"}`, api.CodeBodyTooLarge, nil},
		{"POST", "/v1/accounts", `{}`, api.CodeUnsupportedMedia, []string{"Content-Type: text/plain"}},
		{"POST", "/v1/accounts", `name=x`, api.CodeUnsupportedMedia, []string{"Content-Type: application/x-www-form-urlencoded"}},
		{"GET", "/v1/accounts?key=" + pasted, ``, api.CodeInvalidRequest, nil},
		{"GET", "/v1/accounts?" + pasted + "=1", ``, api.CodeInvalidRequest, nil},
		{"DELETE", "/v1/accounts/" + pasted, ``, api.CodeAccountNotFound, nil},
		{"POST", "/v1/accounts/" + pasted + "/rotate-key", `{}`, api.CodeAccountNotFound, nil},
		{"POST", "/v1/accounts/acc_x/rotate-key", `{"graceSeconds":-1}`, api.CodeInvalidRequest, nil},
		{"POST", "/v1/accounts/acc_x/rotate-key", `{"graceSeconds":` + quoted + `}`, api.CodeInvalidRequest, nil},
		{"GET", "/v1/machines?limit=0", ``, api.CodeInvalidRequest, nil},
		{"GET", "/v1/machines?limit=1001", ``, api.CodeInvalidRequest, nil},
		{"GET", "/v1/machines?limit=" + pasted, ``, api.CodeInvalidRequest, nil},
		{"GET", "/v1/machines?online=" + pasted, ``, api.CodeInvalidRequest, nil},
		{"GET", "/v1/machines/" + pasted, ``, api.CodeMachineNotFound, nil},
		{"GET", "/v1/machines/%2F..%00", ``, api.CodeMachineNotFound, nil},
		{"DELETE", "/v1/machines/" + pasted, ``, api.CodeMachineNotFound, nil},
		{"POST", "/v1/machines/" + pasted + "/readmit", ``, api.CodeMachineNotFound, nil},
		{"GET", "/v1/machines/" + pasted + "/messages", ``, api.CodeMachineNotFound, nil},
		{"GET", "/v1/machines/m/messages?after=-1", ``, api.CodeInvalidRequest, nil},
		{"GET", "/v1/machines/m/messages?limit=x", ``, api.CodeInvalidRequest, nil},
		{"POST", "/v1/messages", ``, api.CodeInvalidJSON, []string{"Content-Type: application/json"}},
		{"POST", "/v1/messages", `{"to":{"machine":` + quoted + `},"data":1}`, api.CodeMachineNotFound, nil},
		{"POST", "/v1/messages", `{"to":{"all":true},"data":1,"mode":` + quoted + `}`, api.CodeInvalidRequest, nil},
		{"POST", "/v1/messages", `{"to":{"all":true},"data":1,"mode":"live","ttlSeconds":1}`, api.CodeInvalidRequest, nil},
		{"POST", "/v1/messages", `{"to":{"all":true},"data":"` + strings.Repeat("d", 1<<20) + `"}`, api.CodeDataTooLarge, nil},
		{"POST", "/v1/messages", `{"to":{"all":true},"data":"` + strings.Repeat("d", 2<<20) + `"}`, api.CodeDataTooLarge, nil},
		{"POST", "/v1/deletions/confirm", `{}`, api.CodeInvalidRequest, nil},
		{"POST", "/v1/deletions/confirm", `{"all":true,"id":` + quoted + `}`, api.CodeInvalidRequest, nil},
		{"POST", "/v1/deletions/confirm", `{"id":` + quoted + `}`, api.CodeDeletionNotHeld, nil},
		{"POST", "/v1/tokens", `{"scopes":[]}`, api.CodeInvalidRequest, nil},
		{"POST", "/v1/tokens", `{"scopes":[` + quoted + `]}`, api.CodeInvalidRequest, nil},
		{"POST", "/v1/tokens", `{"scopes":["read","read"]}`, api.CodeInvalidRequest, nil},
		{"POST", "/v1/tokens", `{"scopes":"read"}`, api.CodeInvalidRequest, nil},
		{"POST", "/v1/tokens", `{"name":` + quoted + `}`, api.CodeInvalidRequest, nil},
		{"DELETE", "/v1/tokens/" + pasted, ``, api.CodeTokenNotFound, nil},
		{"GET", "/v1/events", ``, api.CodeInvalidRequest, []string{"Last-Event-ID: " + pasted}},
		{"GET", "/v1/machines/" + pasted + "/why", ``, api.CodeMachineNotFound, nil},
		{"GET", "/v1/backup", ``, api.CodeBrokerUnavailable, nil},
		{"GET", "/dashboard/" + pasted, ``, api.CodeNotFound, nil},
		{"POST", "/login", `{"token":` + quoted + `}`, api.CodeUnauthorized, nil},
		{"GET", "/v1/machines/" + pasted + "/frames", ``, api.CodeMachineNotFound, nil},
		{"GET", "/v2/" + pasted, ``, api.CodeNotFound, nil},
		{"GET", "/debug/pprof/cmdline", ``, api.CodeNotFound, nil},
		{"PUT", "/v1/accounts", `{}`, api.CodeMethodNotAllowed, nil},
		{"DELETE", "/v1/messages", ``, api.CodeMethodNotAllowed, nil},
		{"OPTIONS", "/v1/machines/m", ``, api.CodeMethodNotAllowed, nil},
		{"GET", "/v1/accounts", ``, api.CodeUnauthorized, []string{"Authorization: Bearer " + pasted}},
		{"GET", "/no/such/path", ``, api.CodeUnauthorized, []string{"Authorization: "}},
		{"GET", "/metrics", ``, api.CodeUnauthorized, []string{"Authorization: "}},
		{"GET", "/debug/pprof/heap", ``, api.CodeUnauthorized, []string{"Authorization: "}},
		{"GET", "/healthz", ``, api.CodeHostNotAllowed, []string{"Host: rebound.example"}},
		{"GET", "/v1/accounts", ``, api.CodeHostNotAllowed, []string{"Host: rebound.example"}},
		{"POST", "/v1/accounts", `{}`, api.CodeCrossOrigin, []string{"Origin: https://evil.example"}},
		{"GET", "/v1/machines", ``, api.CodeCrossOrigin, []string{"Sec-Fetch-Site: cross-site"}},
	}
}

// checkProblem holds what is true of every refusal.
func checkProblem(t *testing.T, what string, a rawAnswer, want api.Code) {
	t.Helper()
	var e api.Error
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Errorf("%s: the body is no problem document: %.200s", what, a.body)
		return
	}
	if e.Code != want || a.status != want.Status() || e.Status != a.status {
		t.Errorf("%s: got %d %s (%s), want %d %s", what, a.status, e.Code, e.Detail, want.Status(), want)
	}
	if e.Hint == "" || e.Detail == "" || e.Title != http.StatusText(a.status) {
		t.Errorf("%s: the problem is incomplete: %s", what, a.body)
	}
	if ct := a.header.Get("Content-Type"); ct != api.ProblemType {
		t.Errorf("%s: the type is %q", what, ct)
	}
	if a.header.Get("X-Request-Id") == "" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: headers %v", what, a.header)
	}
}

func TestEveryRefusalIsAProblemWithACodeAndAHintAndShowsNoSecret(t *testing.T) {
	d := openDoor(t)
	for _, r := range refusedRequests() {
		what := fmt.Sprintf("%s %.60s %.60s %s", r.method, r.path, r.body, r.headers)
		a := d.raw(r.method, r.path, r.body, r.headers...)
		checkProblem(t, what, a, r.code)
		if strings.Contains(a.body+fmt.Sprint(a.header), pasted) {
			t.Errorf("%s: the answer repeats a key: %s", what, a.body)
		}
	}
	if strings.Contains(d.log.String(), pasted) {
		t.Errorf("the log holds a key:\n%s", d.log)
	}
}

func TestRefusalsCarryTheHeadersTheirStatusAsksFor(t *testing.T) {
	d := openDoor(t)
	if a := d.raw("GET", "/v1/accounts", "", "Authorization: "); !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("401: %v", a.header)
	}
	if a := d.raw("PUT", "/v1/accounts", ""); !slices.Equal(a.header.Values("Allow"), []string{"GET", "POST"}) {
		t.Errorf("405: %v", a.header)
	}
	d.dir.Close()
	if a := d.raw("GET", "/v1/machines", ""); a.header.Get("Retry-After") == "" {
		t.Errorf("503: %v", a.header)
	}
}

func TestAPanicIsAProblemAndItsValueIsNotShown(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.Online = func(string) int { panic(pasted) } })
	id := d.enrol(d.account(), "h1")[0]
	a := d.raw("GET", "/v1/machines/"+id, "")
	checkProblem(t, "a panic", a, api.CodeInternal)
	log := d.log.String()
	if !strings.Contains(log, "admin call panicked") || !strings.Contains(log, a.header.Get("X-Request-Id")) {
		t.Errorf("the log does not tell of the panic:\n%s", log)
	}
	if strings.Contains(log+a.body, pasted) {
		t.Errorf("the value of the panic is shown:\n%s", log)
	}
}

func TestTheDocumentListsEveryRouteAndOnlyThose(t *testing.T) {
	d := openDoor(t)
	a := d.raw("GET", "/openapi.json", "", "Authorization: ")
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Summary     string
			Security    *[]any
			Responses   map[string]any
		}
	}
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Fatalf("got %d, %q and %v", a.status, doc.OpenAPI, err)
	}
	var got []string
	for path, item := range doc.Paths {
		for method, op := range item {
			got = append(got, strings.ToUpper(method)+" "+path)
			if op.OperationID == "" || op.Summary == "" || op.Responses["default"] == nil || len(op.Responses) < 2 {
				t.Errorf("%s %s is not described: %+v", method, path, op)
			}
			if (op.Security != nil && len(*op.Security) == 0) != isPublic(path) {
				t.Errorf("%s %s: whether it needs a token is not told right", method, path)
			}
			probe, _ := http.NewRequest(strings.ToUpper(method), "http://localhost"+strings.NewReplacer("{id}", "x", "{profile}", "x").Replace(path), nil)
			if _, pattern := d.admin.mux.Handler(probe); !strings.HasSuffix(pattern, path) {
				t.Errorf("%s %s is described and not served (%s)", method, path, pattern)
			}
		}
	}
	want := []string{
		"GET /v1/accounts", "POST /v1/accounts", "DELETE /v1/accounts/{id}", "POST /v1/accounts/{id}/rotate-key",
		"GET /v1/machines", "GET /v1/machines/{id}", "DELETE /v1/machines/{id}", "POST /v1/machines/{id}/readmit",
		"GET /v1/machines/{id}/frames", "GET /v1/machines/{id}/messages", "GET /v1/machines/{id}/why", "POST /v1/messages", "GET /v1/deletions", "POST /v1/deletions/confirm",
		"GET /v1/backup", "GET /v1/events", "GET /v1/stats", "GET /v1/tokens", "POST /v1/tokens", "DELETE /v1/tokens/{id}",
		"GET /healthz", "GET /readyz", "GET /metrics", "GET /openapi.json", "GET /debug/pprof/", "GET /debug/pprof/{profile}",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the document lists\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, word := range []string{`"apiKey"`, `"graceSeconds"`, `"ttlSeconds"`, `"application/x-ndjson"`, `"application/problem+json"`, `"bearer"`, `"hint"`} {
		if !strings.Contains(a.body, word) {
			t.Errorf("the document does not say %s", word)
		}
	}
	if strings.Contains(a.body, `"binary"`) {
		t.Error("a body is described as bytes")
	}
}

func TestHealthReadinessMetricsAndProfilesAnswer(t *testing.T) {
	d := openDoor(t)
	d.account()
	for path, want := range map[string]string{
		"/metrics":                       `fleetline_admin_requests_total{route="POST /v1/accounts",status="201"} 1`,
		"/debug/pprof/":                  "goroutine",
		"/debug/pprof/goroutine?debug=1": "goroutine profile",
		"/debug/pprof/heap?gc=1&debug=1": "heap profile",
	} {
		if a := d.raw("GET", path, ""); a.status != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d %.300s", path, a.status, a.body)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if a := d.raw("GET", path, "", "Authorization: "); a.status != 200 {
			t.Errorf("%s without a token: %d %s", path, a.status, a.body)
		}
	}
	if r, err := d.Ready(t.Context()); err != nil || r.Status != "ready" || r.Directory.Machines != "polling, because of a test" {
		t.Errorf("ready: %+v %v", r, err)
	}
	d.mu.Lock()
	d.notReady = []string{"the log is behind", "the directory is away"}
	d.mu.Unlock()
	a := d.raw("GET", "/readyz", "", "Authorization: ")
	checkProblem(t, "not ready", a, api.CodeNotReady)
	if !strings.Contains(a.body, `"reasons":["the log is behind","the directory is away"]`) {
		t.Errorf("the reasons are not told: %s", a.body)
	}
	if a := d.raw("GET", "/healthz", ""); a.status != 200 {
		t.Errorf("health follows readiness: %d", a.status)
	}
}

func TestEachChangeIsOneLogLineWithWhoAndWhat(t *testing.T) {
	d, ctx := openDoor(t), t.Context()
	k := d.account()
	id := d.enrol(k, "h1")[0]
	rotated, err := d.RotateKey(ctx, k.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	d.DeleteMachine(ctx, id)
	d.ReadmitMachine(ctx, id)
	d.DeleteAccount(ctx, k.ID)
	d.DeleteAccount(ctx, "acc_none")
	d.Accounts(ctx)
	d.Publish(ctx, api.Message{To: api.Target{All: true}, Data: []byte(`1`)})
	var got []string
	for line := range strings.Lines(d.log.String()) {
		var l struct{ Msg, Call, ID, Code, Remote, RequestID string }
		if json.Unmarshal([]byte(line), &l) != nil || !strings.HasPrefix(l.Msg, "admin call") {
			continue
		}
		got = append(got, strings.TrimSpace(l.Call+" "+l.ID+l.Code))
		if !strings.HasPrefix(l.Remote, "127.0.0.1:") || l.RequestID == "" {
			t.Errorf("%s does not say who", line)
		}
	}
	want := []string{
		"add-account " + k.ID, "rotate-key " + k.ID, "delete-machine " + id, "readmit-machine " + id,
		"delete-account " + k.ID, "delete-account account_not_found",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the log tells\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, secret := range []string{string(k.APIKey), string(rotated.APIKey), testToken} {
		if strings.Contains(d.log.String(), secret) {
			t.Errorf("the log holds a secret:\n%s", d.log)
		}
	}
}

func TestAConfigurationReportsEverythingThatIsMissingAtOnce(t *testing.T) {
	_, err := New(Config{MaxFrame: -1})
	for _, name := range []string{"Token", "Accounts", "AccountAdmin", "Machines", "MachineAdmin", "Publisher", "Online", "OnlineIDs", "Ready", "Metrics", "MaxFrame"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named by: %v", name, err)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v", Config{Token: testToken}, Config{Token: testToken}, Config{Token: testToken}); strings.Contains(s, testToken) {
		t.Errorf("the token is printed: %s", s)
	}
}
