package server_test

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/fleetlinetest"
)

var helpLine = regexp.MustCompile(`(?m)^# HELP (fleetline_\w+) (.*)$`)
var docRow = regexp.MustCompile("(?m)^\\| `(fleetline_\\w+)` \\| (.*) \\|$")

// scrape reads /metrics of a gateway on which everything has happened once that has labels.
func scrape(t *testing.T) map[string]string {
	t.Helper()
	g := fleetlinetest.Start(t)
	_, key := g.AddAccount("a")
	_, hello := login(t, g.URL, withHWID(key, "h"))
	if err := g.API.DeleteMachine(t.Context(), hello.text("machineId")); err != nil {
		t.Fatal(err)
	}
	watch(t, g, "0", func(all []api.Event) bool { return len(all) > 0 && all[len(all)-1].Type == api.MachineDisconnected })
	refused(t, g.URL, withKey("flk_none"))
	s, err := g.API.OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Send(api.Message{To: api.Target{All: true}, Data: []byte(`1`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Receive(); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.AdminURL+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+string(g.Server().AdminToken()))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, m := range helpLine.FindAllStringSubmatch(string(text), -1) {
		have[m[1]] = m[2]
	}
	return have
}

func TestThePageOfMetricsNamesThoseThereAreAndNoOthers(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	have, named := scrape(t), map[string]string{}
	for _, m := range docRow.FindAllStringSubmatch(string(page), -1) {
		named[m[1]] = m[2]
	}
	for name, help := range have {
		if named[name] == "" {
			t.Errorf("docs/metrics.md lacks\n| `%s` | %s |", name, help)
		}
	}
	for name, text := range named {
		if have[name] == "" && !strings.HasPrefix(text, "Supabase only:") {
			t.Errorf("docs/metrics.md names %s, which is not there", name)
		}
	}
}
