package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/fleetlinetest"
)

var helpLine = regexp.MustCompile(`(?m)^# HELP (\w+) (.*)$`)
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
	have := map[string]string{}
	for _, m := range helpLine.FindAllStringSubmatch(metricsPage(t, g), -1) {
		have[m[1]] = m[2]
	}
	return have
}

// metricsPage reads the metrics as Prometheus does.
func metricsPage(t *testing.T, g *fleetlinetest.Gateway) string {
	t.Helper()
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
	return string(text)
}

// describedMetrics reads what docs/metrics.md says of each metric.
func describedMetrics(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]string{}
	for _, m := range docRow.FindAllStringSubmatch(string(page), -1) {
		described[m[1]] = m[2]
	}
	return described
}

// isElsewhere tells of metrics that only a gateway with another directory has.
func isElsewhere(text string) bool { return strings.HasPrefix(text, "Supabase only:") }

func TestThePageOfMetricsNamesThoseThereAreAndNoOthers(t *testing.T) {
	t.Parallel()
	have, named := scrape(t), describedMetrics(t)
	for name, help := range have {
		if strings.HasPrefix(name, "fleetline_") && named[name] == "" {
			t.Errorf("docs/metrics.md lacks\n| `%s` | %s |", name, help)
		}
	}
	for name, text := range named {
		if have[name] == "" && !isElsewhere(text) {
			t.Errorf("docs/metrics.md names %s, which is not there", name)
		}
	}
}

var (
	metricName = regexp.MustCompile(`\b(?:fleetline|go|process)_\w+`)
	// histogramPart ends the names of a histogram's and a summary's series.
	histogramPart = regexp.MustCompile(`_(?:bucket|count|sum)$`)
)

func TestTheGrafanaDashboardAsksForMetricsThereAre(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../packaging/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	names := metricName.FindAllString(string(text), -1)
	if len(names) < 40 {
		t.Fatalf("the dashboard names %d metrics: they were not found", len(names))
	}
	have, named := scrape(t), describedMetrics(t)
	for _, name := range names {
		if have[name] == "" && have[histogramPart.ReplaceAllString(name, "")] == "" && !isElsewhere(named[name]) {
			t.Errorf("the dashboard asks for %s, which is not there", name)
		}
	}
}

func TestTheGrafanaDashboardCanBeImported(t *testing.T) {
	text, err := os.ReadFile("../../packaging/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	type source struct{ UID string }
	var d struct {
		Inputs []struct{ Name, Type string } `json:"__inputs"`
		Panels []struct {
			ID          int
			Type, Title string
			Datasource  source
			Targets     []struct {
				Datasource source
				Expr       string
			}
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Inputs) != 1 || d.Inputs[0].Name != "DS_PROMETHEUS" || d.Inputs[0].Type != "datasource" {
		t.Fatalf("an import asks for %+v", d.Inputs)
	}
	seen := map[int]string{0: "no panel"}
	asks := source{"${DS_PROMETHEUS}"}
	for _, p := range d.Panels {
		if other, taken := seen[p.ID]; taken {
			t.Errorf("%s has the id %d of %s", p.Title, p.ID, other)
		}
		seen[p.ID] = p.Title
		if p.Type != "row" && (p.Datasource != asks || len(p.Targets) == 0) {
			t.Errorf("%s asks %q, with %d queries", p.Title, p.Datasource.UID, len(p.Targets))
		}
		for _, q := range p.Targets {
			if q.Datasource != asks || q.Expr == "" {
				t.Errorf("%s asks %q for %q", p.Title, q.Datasource.UID, q.Expr)
			}
		}
	}
}
