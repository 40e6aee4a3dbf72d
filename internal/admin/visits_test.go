package admin

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/api"
)

// browse makes a request as a browser does that has this cookie, and returns the answer with its body.
func (d *door) browse(method, path, body string, cookie *http.Cookie, headers ...string) (*http.Response, string) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if cookie != nil {
		r.AddCookie(cookie)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return answer, string(text)
}

func (d *door) signIn(token string) *http.Cookie {
	d.t.Helper()
	answer, text := d.browse("POST", "/login", fmt.Sprintf(`{"token":%q}`, token), nil)
	if answer.StatusCode != http.StatusNoContent || len(answer.Cookies()) != 1 {
		d.t.Fatalf("signing in: %s %s", answer.Status, text)
	}
	return answer.Cookies()[0]
}

func TestACookieOpensWhatItsTokenOpensAndNoLonger(t *testing.T) {
	d := openDoor(t)
	cookie := d.signIn(testToken)
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.MaxAge != 12*3600 || strings.Contains(cookie.Value, testToken) {
		t.Errorf("the cookie is %+v", cookie)
	}
	if answer, text := d.browse("GET", "/v1/accounts", "", cookie); answer.StatusCode != http.StatusOK {
		t.Errorf("reading: %s %s", answer.Status, text)
	}
	if answer, text := d.browse("POST", "/v1/accounts", `{"name":"x"}`, cookie, pageHeader, "dashboard"); answer.StatusCode != http.StatusCreated {
		t.Errorf("changing: %s %s", answer.Status, text)
	}
	d.browse("POST", "/logout", "", cookie, pageHeader, "dashboard")
	if answer, _ := d.browse("GET", "/v1/accounts", "", cookie); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("after signing out: %s", answer.Status)
	}

	made, err := d.AddToken(t.Context(), api.NewToken{Name: "looker", Scopes: []api.Scope{api.ScopeRead}})
	if err != nil {
		t.Fatal(err)
	}
	cookie = d.signIn(string(made.Secret))
	if answer, _ := d.browse("POST", "/v1/accounts", `{"name":"x"}`, cookie, pageHeader, "dashboard"); answer.StatusCode != http.StatusForbidden {
		t.Errorf("changing with a cookie that reads: %s", answer.Status)
	}
	if err := d.DeleteToken(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	if answer, _ := d.browse("GET", "/v1/accounts", "", cookie); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the token was deleted: %s", answer.Status)
	}
}

func TestAPageOfAnotherSiteCannotUseACookie(t *testing.T) {
	d := openDoor(t)
	cookie := d.signIn(testToken)
	for name, headers := range map[string][]string{
		"a form, which adds no header":   nil,
		"another site's page":            {pageHeader, "dashboard", "Origin", "https://evil.example"},
		"a page that the browser names":  {pageHeader, "dashboard", "Sec-Fetch-Site", "cross-site"},
		"a name that leads to this host": {pageHeader, "dashboard", "Host", "evil.example"},
	} {
		if answer, text := d.browse("POST", "/v1/accounts", `{"name":"x"}`, cookie, headers...); answer.StatusCode < 400 && headers[max(0, len(headers)-2)] != "Host" {
			t.Errorf("%s: %s %s", name, answer.Status, text)
		}
	}
	if answer, _ := d.browse("POST", "/login", `{"token":"wrong"}`, nil); answer.StatusCode != http.StatusUnauthorized || len(answer.Cookies()) > 0 {
		t.Errorf("a wrong token: %s, cookies %v", answer.Status, answer.Cookies())
	}
	for _, body := range []string{"", "{}", `{"token":7}`, `{"token":"x","more":1}`, "token=x"} {
		if answer, _ := d.browse("POST", "/login", body, nil); answer.StatusCode < 400 || answer.StatusCode >= 500 {
			t.Errorf("%q: %s", body, answer.Status)
		}
	}
	if strings.Contains(d.log.String(), cookie.Value) || strings.Contains(d.log.String(), testToken) {
		t.Error("the log shows a cookie or a token")
	}
}

func TestThePageLoadsNothingFromElsewhereAndNeedsNoToken(t *testing.T) {
	d := openDoor(t)
	for _, path := range []string{"/", "/dashboard/app.js", "/dashboard/style.css", "/dashboard/icon.svg"} {
		answer, text := d.browse("GET", path, "", nil)
		if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Security-Policy") != pageRules || answer.Header.Get("Content-Type") == "" {
			t.Errorf("%s: %s %v", path, answer.Status, answer.Header)
		}
		if strings.Contains(strings.ReplaceAll(text, "http://www.w3.org/2000/svg", ""), "://") {
			t.Errorf("%s names another place", path)
		}
	}
	for _, path := range []string{"/dashboard/none.js", "/dashboard/..%2fadmin.go", "/dashboard/"} {
		if answer, _ := d.browse("GET", path, "", nil); answer.StatusCode == http.StatusOK {
			t.Errorf("%s: %s", path, answer.Status)
		}
	}
}

func TestVisitsEndByThemselvesAndAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisits()
		with := func(c *http.Cookie) *http.Request {
			r, _ := http.NewRequest("GET", "/", nil)
			r.AddCookie(c)
			return r
		}
		first := v.begin("secret", true)
		if got, ok := v.secret(with(first)); !ok || got != "secret" || !first.Secure {
			t.Errorf("a visit is not found: %v", first)
		}
		time.Sleep(time.Second)
		for range maxVisits {
			v.begin("another", false)
		}
		if _, ok := v.secret(with(first)); ok || len(v.byDigest) != maxVisits {
			t.Errorf("%d visits, the oldest among them: %v", len(v.byDigest), ok)
		}
		last := v.begin("last", false)
		time.Sleep(visitLife)
		if _, ok := v.secret(with(last)); ok {
			t.Error("a visit outlives its life")
		}
	})
}
