package supabase

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	secret = directory.Key("sb_secret_the-service-key-itself")
	// machineKey is one that a machine comes with.
	machineKey = directory.Key(`flk_machine,"key\`)
)

// scripted is a project that answers word for word what it is told to, and like an empty project
// without our functions otherwise.
type scripted struct {
	*httptest.Server

	mu sync.Mutex
	// Guarded by mu.
	answer   http.HandlerFunc // nil: as an empty project
	requests []*http.Request
	bodies   []string
}

func newScripted(t testing.TB) *scripted {
	s := &scripted{}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Server.Close)
	return s
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	answer := s.answer
	s.requests = append(s.requests, r)
	s.bodies = append(s.bodies, string(body))
	s.mu.Unlock()
	switch {
	case strings.HasPrefix(r.URL.Path, "/realtime/"):
		say(w, 404, `{"error":"not_found"}`)
	case answer != nil:
		answer(w, r)
	default:
		empty(w, r)
	}
}

func (s *scripted) say(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// rest are the requests to the REST interface since the last call.
func (s *scripted) rest() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.DeleteFunc(s.requests, func(r *http.Request) bool { return !strings.HasPrefix(r.URL.Path, "/rest/") })
	s.requests = nil
	return list
}

// say writes an answer whose headers come in pairs.
func say(w http.ResponseWriter, status int, body string, headers ...string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	for i := 0; i < len(headers); i += 2 {
		w.Header().Set(headers[i], headers[i+1])
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func empty(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/rest/v1/rpc/") {
		say(w, 404, `{"code":"PGRST202","details":"Searched for the function public.fleetline_accounts_by_key with parameter keys or with a single unnamed json/jsonb parameter, but no matches were found in the schema cache.","hint":null,"message":"Could not find the function public.fleetline_accounts_by_key(keys) in the schema cache"}`)
		return
	}
	say(w, 200, `[]`, "Content-Range", "*/0")
}

func always(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { say(w, status, body, headers...) }
}

func (s *scripted) config(j *journal) Config {
	return Config{URL: s.URL, ServiceKey: secret, Installation: installation, Logger: j.logger(), pace: quick()}
}

func (s *scripted) open(t testing.TB, c Config) *Directory {
	t.Helper()
	d, err := Open(context.WithoutCancel(t.Context()), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	d.sees.Store(true) // an empty project would not be believed at all
	return d
}

// token is a JWT as the platform makes them; nobody checks its signature here.
func token(claims string) directory.Key {
	part := base64.RawURLEncoding.EncodeToString
	return directory.Key(part([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + part([]byte(claims)) + ".c2lnbmF0dXJl")
}

// brokenAnswers are what may come instead of an answer; none of them is one.
var brokenAnswers = []struct {
	name   string
	answer http.HandlerFunc
	why    string // what is logged
}{
	{"NoKey", always(401, `{"message":"No API key found in request","hint":"No `+"`apikey`"+` request header or url param was found."}`), "HTTP 401 (the key is refused)"},
	{"InvalidKey", always(401, `{"message":"Invalid API key","hint":"Double check your Supabase `+"`anon` or `service_role`"+` API key."}`), "HTTP 401 (the key is refused)"},
	{"SelfHostedInvalidKey", always(401, `{"message":"Invalid authentication credentials"}`), "HTTP 401 (the key is refused)"},
	{"EmptyRefusal", always(401, ``), "HTTP 401 (the key is refused)"},
	{"ExpiredToken", always(401, `{"code":"PGRST303","details":null,"hint":null,"message":"JWT expired"}`), "HTTP 401 PGRST303 (the key is refused)"},
	{"Restricted", always(402, `{"message":"Service for this project is restricted due to the following violations: exceed_egress_quota."}`), "HTTP 402 (the project is restricted: look at its quota and bills)"},
	{"NotPermitted", always(403, `{"code":"42501","details":null,"hint":null,"message":"permission denied for table user"}`), "HTTP 403 42501"},
	{"Forbidden", always(403, `<html><head><title>403 Forbidden</title></head></html>`, "Content-Type", "text/html"), "HTTP 403"},
	{"NoRoute", always(404, `{"message":"no Route matched with those values"}`), "HTTP 404"},
	{"NoTable", always(404, `{"code":"PGRST205","details":null,"hint":null,"message":"Could not find the table 'public.user' in the schema cache"}`), "HTTP 404 PGRST205"},
	{"NotAcceptable", always(406, `{"code":"PGRST116","details":"The result contains 0 rows","hint":null,"message":"Cannot coerce the result to a single JSON object"}`), "HTTP 406 PGRST116"},
	{"TooLong", always(414, `<html><head><title>414 Request-URI Too Large</title></head></html>`, "Content-Type", "text/html"), "HTTP 414"},
	{"TooMany", always(429, `{"message":"API rate limit exceeded"}`, "Retry-After", "0"), "HTTP 429 (too many requests)"},
	{"StatementTimeout", always(500, `{"code":"57014","details":null,"hint":null,"message":"canceling statement due to statement timeout"}`), "HTTP 500 57014"},
	{"BadGateway", always(502, `An invalid response was received from the upstream server`, "Content-Type", "text/plain"), "HTTP 502"},
	{"NoConnection", always(503, `{"code":"PGRST001","details":"connection to server failed","hint":null,"message":"Database client error. Retrying the connection."}`), "HTTP 503 PGRST001"},
	{"PoolTimeout", always(504, `{"code":"PGRST003","details":null,"hint":null,"message":"Timed out acquiring connection from connection pool."}`), "HTTP 504 PGRST003"},
	{"Cloudflare520", always(520, `<!DOCTYPE html><title>520: Web server is returning an unknown error</title>`, "Content-Type", "text/html"), "HTTP 520 (the platform does not reach the project)"},
	{"Cloudflare521", always(521, `<!DOCTYPE html><title>521: Web server is down</title>`, "Content-Type", "text/html"), "HTTP 521 (the platform does not reach the project)"},
	{"Cloudflare526", always(526, `<!DOCTYPE html><title>526: Invalid SSL certificate</title>`, "Content-Type", "text/html"), "HTTP 526 (the platform does not reach the project)"},
	{"Paused", always(540, `{"message":"Project paused"}`), "HTTP 540 (the project is paused)"},
	{"GatewayTimeout", always(544, `{"message":"The connection to the database timed out"}`), "HTTP 544 (the project did not answer its gateway in time)"},
	{"Moved", always(302, ``, "Location", "/login"), "HTTP 302"},
	{"LoginPage", always(200, `<html><title>Sign in to continue</title></html>`, "Content-Type", "text/html", "Content-Range", "*/0"), "the answer is no list of rows"},
	{"Nothing", always(200, ``, "Content-Range", "*/0"), "the answer is no list of rows"},
	{"NoContent", always(204, ``, "Content-Range", "*/0"), "HTTP 204 is no answer to a question"},
	{"Null", always(200, `null`, "Content-Range", "*/0"), "the answer is no list of rows"},
	{"Object", always(200, `{"id":1,"apikey":"x"}`, "Content-Range", "0-0/1"), "the answer is no list of rows"},
	{"CutJSON", always(200, `[{"id":1,"apike`, "Content-Range", "0-0/1"), "the answer is no list of rows"},
	{"Garbage", always(200, `[]]`, "Content-Range", "*/0"), "the answer is no list of rows"},
	{"OddID", always(200, `[{"id":{},"apikey":"x"}]`, "Content-Range", "0-0/1"), "the answer is no list of rows"},
	{"NoKeyColumn", always(200, `[{"id":1}]`, "Content-Range", "0-0/1"), "the answer is no list of rows"},
	{"UnknownWhetherWhole", always(200, `[]`, "Content-Range", "*/*"), "the answer does not say whether it is whole"},
	{"NoRange", always(200, `[]`), "the answer does not say whether it is whole"},
	{"CutByMaxRows", always(206, `[]`, "Content-Range", "*/7"), "the answer was cut short by the project's limit of rows"},
	{"CutWithoutAWord", always(200, `[]`, "Content-Range", "*/7"), "the answer was cut short by the project's limit of rows"},
	{"Strangers", always(200, `[{"id":7,"apikey":"somebody's"}]`, "Content-Range", "0-0/1"), "the answer holds rows that nobody asked for"},
	{"Endless", always(200, `["`+strings.Repeat("x", maxAnswer)+`"]`, "Content-Range", "*/0"), "the answer is longer than 1 MiB"},
	{"CutBody", always(200, `[]`, "Content-Range", "*/0", "Content-Length", "200"), "the connection was closed before the answer was whole"},
	{"Hangup", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "the connection was closed before the answer was whole"},
}

func TestNobodyIsAbsentBecauseOf(t *testing.T) {
	for _, x := range brokenAnswers {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			s, j := newScripted(t), &journal{}
			d := s.open(t, s.config(j))
			s.say(x.answer)
			accounts := d.Accounts()
			for _, got := range []string{
				verdicts(accounts.Lookup(t.Context(), []directory.Key{machineKey})), verdicts(accounts.Check(t.Context(), []string{"1"})),
				verdicts(accounts.Lookup(t.Context(), []directory.Key{"", "\xff"})[:1]),
			} {
				if got != "unavailable" {
					t.Errorf("the answer is %s", got)
				}
			}
			if _, err := accounts.ListAccounts(t.Context()); err == nil && !isPage(x.name) {
				t.Error("accounts are listed")
			}
			if log := j.String(); !strings.Contains(log, x.why) {
				t.Errorf("the log does not say %q: %s", x.why, log)
			}
			expectNoSecrets(t, j.String())
			s.say(nil)
			waitUntil(t, "it answers again", func() bool {
				return verdicts(accounts.Lookup(t.Context(), []directory.Key{machineKey})) == "not found"
			})
		})
	}
}

// isPage tells the answers that are a page of a list, which says no total.
func isPage(name string) bool {
	return slices.Contains([]string{"UnknownWhetherWhole", "NoRange", "CutWithoutAWord"}, name)
}

// expectNoSecrets scans for keys as they are, and for what is left of them in a URL.
func expectNoSecrets(t *testing.T, text string) {
	t.Helper()
	for _, k := range []string{string(secret), string(machineKey), "flk_machine", url.QueryEscape(string(machineKey)), "the-service-key", "sb_secret_"} {
		if strings.Contains(text, k) {
			t.Errorf("a key shows: %s", text)
		}
	}
}

func TestASlowBodyIsNotWaitedFor(t *testing.T) {
	s := newScripted(t)
	d := s.open(t, s.config(&journal{}))
	d.rest.pace.request = 50 * time.Millisecond // nothing is asked at this moment
	s.say(func(w http.ResponseWriter, r *http.Request) {
		say(w, 200, `[`, "Content-Range", "*/0")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	if got := verdicts(d.Accounts().Lookup(t.Context(), []directory.Key{machineKey})); got != "unavailable" {
		t.Errorf("the answer is %s", got)
	}
	if n := len(s.rest()); n < tries {
		t.Errorf("it was asked %d times only", n)
	}
}

func TestAnOutageOfAMomentIsTriedAgain(t *testing.T) {
	s := newScripted(t)
	d := s.open(t, s.config(&journal{}))
	left := 2
	s.say(func(w http.ResponseWriter, r *http.Request) {
		if left--; left >= 0 {
			say(w, 503, `{"code":"PGRST002","message":"Could not query the database for the schema cache. Retrying."}`, "Retry-After", "0")
			return
		}
		empty(w, r)
	})
	s.rest()
	if got := verdicts(d.Accounts().Lookup(t.Context(), []directory.Key{machineKey})); got != "not found" {
		t.Errorf("the answer is %s", got)
	}
	if n := len(s.rest()); n != 3 {
		t.Errorf("it was asked %d times", n)
	}
}

func TestWhatWillNotPassIsAskedOnce(t *testing.T) {
	for _, status := range []int{400, 401, 402, 403, 404, 500, 540} {
		s := newScripted(t)
		d := s.open(t, s.config(&journal{}))
		s.say(always(status, ``))
		s.rest()
		d.Accounts().Lookup(t.Context(), []directory.Key{machineKey})
		if n := len(s.rest()); n != 1 {
			t.Errorf("after HTTP %d it was asked %d times", status, n)
		}
	}
}

func TestRetryAfterIsWaitedForOnlyIfThereIsTime(t *testing.T) {
	s := newScripted(t)
	d := s.open(t, s.config(&journal{}))
	s.say(always(429, ``, "Retry-After", "3600"))
	s.rest()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if got := verdicts(d.Accounts().Lookup(ctx, []directory.Key{machineKey})); got != "unavailable" {
		t.Errorf("the answer is %s", got)
	}
	if n := len(s.rest()); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
}

func TestAFilterThatIsDroppedRefusesTheStart(t *testing.T) {
	everybody := `[{"id":1,"apikey":"one"},{"id":2,"apikey":"two"}]`
	for name, answer := range map[string]http.HandlerFunc{
		"ByURL": func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/rpc/") {
				empty(w, r)
				return
			}
			say(w, 206, everybody, "Content-Range", "0-1/500")
		},
		"ByBody": always(200, everybody, "Content-Range", "0-1/2"),
	} {
		t.Run(name, func(t *testing.T) {
			s, j := newScripted(t), &journal{}
			s.say(answer)
			d, err := Open(t.Context(), s.config(j))
			if err == nil {
				d.Close()
				t.Fatal("it starts")
			}
			if !strings.Contains(err.Error(), "any key would open any account") || hintOf(err) == "" {
				t.Errorf("the error is %v (%s)", err, hintOf(err))
			}
			expectNoSecrets(t, err.Error()+j.String())
		})
	}
}

func TestAFilterThatIsDroppedLaterEndsAllAnswers(t *testing.T) {
	s, j := newScripted(t), &journal{}
	d := s.open(t, s.config(j))
	s.say(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/rpc/") {
			empty(w, r)
			return
		}
		say(w, 200, `[{"id":"1","apikey":"somebody's"}]`, "Content-Range", "0-0/1")
	})
	if got := verdicts(d.Accounts().Lookup(t.Context(), []directory.Key{machineKey})); got != "unavailable" {
		t.Errorf("the answer is %s", got)
	}
	waitUntil(t, "it is no longer believed", func() bool { return !d.standing().proven })
	if got := verdicts(d.Accounts().Lookup(t.Context(), []directory.Key{"somebody's"})); got != "unavailable" {
		t.Errorf("whose key comes back unasked is %s", got)
	}
	s.say(nil)
	waitUntil(t, "it is believed again", func() bool { return d.standing().proven })
}

func TestNoParameterIsNamedAfterTheKeyAndNoneIsBlank(t *testing.T) {
	s := newScripted(t)
	d := s.open(t, s.config(&journal{}))
	d.Accounts().Lookup(t.Context(), []directory.Key{machineKey, "other", ""})
	d.Accounts().Lookup(t.Context(), []directory.Key{"", "\x00"})
	d.Accounts().Lookup(t.Context(), nil)
	d.Accounts().Check(t.Context(), []string{"1", `",)(`})
	if _, err := d.Accounts().ListAccounts(t.Context()); err != nil {
		t.Error(err)
	}
	for _, r := range s.rest() {
		for name, values := range r.URL.Query() {
			if !slices.Contains([]string{"select", "and", "limit", "order"}, name) || len(values) != 1 || values[0] == "" || strings.Contains(values[0], ".in.()") {
				t.Errorf("a parameter is %s=%q", name, values)
			}
		}
		if r.Header.Get("apikey") != string(secret) || r.Header.Get("Authorization") != "" || r.Header.Get("User-Agent") != "fleetline" {
			t.Errorf("the headers are %v", r.Header)
		}
	}
}

func TestALegacyKeyIsAlsoABearer(t *testing.T) {
	s := newScripted(t)
	c := s.config(&journal{})
	c.ServiceKey = token(`{"role":"service_role","exp":4102444800}`)
	s.open(t, c)
	for _, r := range s.rest() {
		if r.Header.Get("apikey") != string(c.ServiceKey) || r.Header.Get("Authorization") != "Bearer "+string(c.ServiceKey) {
			t.Errorf("the headers are %v", r.Header)
		}
	}
}

func TestNoURLIsLongerThanProxiesTake(t *testing.T) {
	s := newScripted(t)
	d := s.open(t, s.config(&journal{}))
	var keys []directory.Key
	for i := range 400 {
		keys = append(keys, directory.Key(fmt.Sprintf("%d %s", i, strings.Repeat(`"€`, i/4))))
	}
	tooLong := directory.Key(strings.Repeat("k", maxURL))
	got := d.Accounts().Lookup(t.Context(), append(keys, tooLong))
	for i, a := range got {
		if want := i < len(keys); (a.Verdict == directory.NotFound) != want || (a.Verdict == directory.Unavailable) == want {
			t.Fatalf("key %d is %v", i, a.Verdict)
		}
	}
	for _, r := range s.rest() {
		if n := len(s.URL) + len(r.RequestURI); n > maxURL {
			t.Errorf("a URL has %d bytes", n)
		}
	}
}

func TestAnAnswerCutShortIsAskedForInSmallerParts(t *testing.T) {
	s := newScripted(t)
	d := s.open(t, s.config(&journal{}))
	s.say(func(w http.ResponseWriter, r *http.Request) {
		asked := strings.Split(strings.Trim(strings.TrimPrefix(strings.TrimPrefix(r.URL.Query().Get("and"), "(id.in.("), "(id.eq."), `()"`), `","`)
		var list []string
		for _, id := range asked[:min(len(asked), 3)] { // max-rows is 3
			list = append(list, fmt.Sprintf(`{"id":%q,"apikey":"key of %[1]s"}`, id))
		}
		status := 200
		if len(asked) > 3 {
			status = 206
		}
		say(w, status, "["+strings.Join(list, ",")+"]", "Content-Range", fmt.Sprintf("0-%d/%d", len(list)-1, len(asked)))
	})
	var ids []string
	for i := range 40 {
		ids = append(ids, fmt.Sprint("id", i))
	}
	for i, a := range d.Accounts().Check(t.Context(), ids) {
		if a.Verdict != directory.Found || a.Account.ID != ids[i] {
			t.Errorf("account %s is %v %q", ids[i], a.Verdict, a.Account.ID)
		}
	}
}

func TestASecretKeyIsNotBelievedThatNobodyIsThereBeforeItHasSeenARow(t *testing.T) {
	s := newScripted(t)
	d := s.open(t, s.config(&journal{}))
	d.sees.Store(false)
	if got := verdicts(d.Accounts().Lookup(t.Context(), []directory.Key{machineKey})); got != "unavailable" {
		t.Errorf("in an empty project a key is %s", got)
	}
	s.say(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("and") == "" {
			say(w, 200, `[{"id":"somebody"}]`, "Content-Range", "0-0/*")
			return
		}
		empty(w, r)
	})
	if got := verdicts(d.Accounts().Lookup(t.Context(), []directory.Key{machineKey})); got != "not found" {
		t.Errorf("when somebody is seen a key is %s", got)
	}
}

// The one account of a project that has begun with one is deleted: the key saw it when it connected.
func TestASecretKeyThatHasSeenTheOnlyRowIsBelievedThatItIsGone(t *testing.T) {
	s := newScripted(t)
	d := s.open(t, s.config(&journal{}))
	d.sees.Store(false)
	s.say(always(200, `[{"id":"only","apikey":"flk_machine,\"key\\"}]`, "Content-Range", "0-0/1"))
	if got := verdicts(d.Accounts().Lookup(t.Context(), []directory.Key{machineKey})); got != "found only" {
		t.Fatalf("the only key is %s", got)
	}
	s.say(empty)
	if got := verdicts(d.Accounts().Check(t.Context(), []string{"only"})); got != "not found" {
		t.Errorf("when it is gone it is %s", got)
	}
}

func TestRequestsAreCounted(t *testing.T) {
	s := newScripted(t)
	c := s.config(&journal{})
	registry := prometheus.NewRegistry()
	c.Registerer = registry
	d := s.open(t, c)
	d.Accounts().Lookup(t.Context(), []directory.Key{machineKey})
	s.say(always(540, ``))
	d.Accounts().Lookup(t.Context(), []directory.Key{machineKey})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	shown := strings.ReplaceAll(fmt.Sprint(families), " ", "")
	if !strings.Contains(shown, `name:"kind"value:"lookup"}label:{name:"outcome"value:"http_540"}counter:{value:1`) {
		t.Errorf("the refusal is not counted: %s", shown)
	}
	expectNoSecrets(t, shown)
}
