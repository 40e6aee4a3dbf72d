package admin

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/api"
)

func TestAKeyIsInTheOneAnswerThatShowsItAndNowhereElse(t *testing.T) {
	d := openDoor(t)
	var k api.AccountKey
	shown := d.raw("POST", "/v1/accounts", `{"name":"fleet"}`)
	if err := json.Unmarshal([]byte(shown.body), &k); err != nil || shown.status != 201 || strings.Count(shown.body, string(k.APIKey)) != 1 {
		t.Fatalf("got %d %s and %v", shown.status, shown.body, err)
	}
	id := d.enrol(k, "h1")[0]
	d.setOnline(id, 1)
	var seen strings.Builder
	for _, r := range []struct{ method, path, body string }{
		{"POST", "/v1/messages", `{"to":{"machine":"` + id + `"},"data":1}`},
		{"GET", "/v1/accounts", ""},
		{"GET", "/v1/machines", ""},
		{"GET", "/v1/machines?online=true", ""},
		{"GET", "/v1/machines/" + id, ""},
		{"GET", "/v1/machines/" + id + "/messages", ""},
		{"DELETE", "/v1/machines/" + id, ""},
		{"DELETE", "/v1/machines/" + string(k.APIKey), ""},
		{"POST", "/v1/accounts", `{"` + string(k.APIKey) + `":1}`},
		{"DELETE", "/v1/accounts/" + testToken, ""},
		{"GET", "/openapi.json", ""},
		{"GET", "/metrics", ""},
		{"GET", "/readyz", ""},
		{"GET", "/debug/pprof/", ""},
		{"GET", "/debug/pprof/goroutine?debug=2", ""},
		{"GET", "/debug/pprof/heap?debug=1", ""},
		{"GET", "/debug/pprof/cmdline", ""},
		{"DELETE", "/v1/accounts/" + k.ID, ""},
	} {
		a := d.raw(r.method, r.path, r.body)
		fmt.Fprintln(&seen, r.method, a.status, a.header, a.body)
	}
	d.broker.Close() // faults are logged with their cause
	d.raw("DELETE", "/v1/machines/"+string(k.APIKey), "")
	d.raw("DELETE", "/v1/accounts/"+string(k.APIKey), "")
	seen.WriteString(d.log.String())
	if !strings.Contains(seen.String(), `"cause":`) {
		t.Error("no cause of a fault was logged, so the scan does not cover one")
	}
	for _, secret := range []string{string(k.APIKey), testToken} {
		if i := strings.Index(seen.String(), secret); i >= 0 {
			t.Errorf("a secret is shown: ...%s", seen.String()[max(0, i-300):i+len(secret)])
		}
	}
}
