package main

import (
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// setting is one row of docs/settings.md, or what kong knows of one flag.
type setting struct{ flag, env, initial, help string }

func TestTheSettingsPageSaysWhatTheProgramReads(t *testing.T) {
	documented := tables(t)
	known := map[string][]setting{
		"fleetline serve":     settingsOf(t, "serve"),
		"fleetline connect":   settingsOf(t, "connect"),
		"Operators' commands": settingsOf(t, "machine"),
	}
	for heading, want := range known {
		if len(want) == 0 {
			t.Errorf("kong knows no settings for %q", heading)
		}
		for _, s := range want {
			if !slices.Contains(documented[heading], s) {
				t.Errorf("docs/settings.md, %s: this row is missing or different:\n%s", heading, s.row())
			}
		}
		for _, s := range documented[heading] {
			if !slices.Contains(want, s) {
				t.Errorf("docs/settings.md, %s: the program knows no such setting:\n%s", heading, s.row())
			}
		}
	}
}

func TestTheSettingsPageNamesEverySecret(t *testing.T) {
	var documented []string
	for _, s := range tables(t)["Secrets"] {
		documented = append(documented, s.flag) // the first column
	}
	slices.Sort(documented)
	if want := secrets(); !slices.Equal(documented, want) {
		t.Errorf("docs/settings.md names the secrets %q, want %q", documented, want)
	}
}

func TestTheDoctorTakesTheSettingsOfServe(t *testing.T) {
	if doctor, serve := settingsOf(t, "doctor"), settingsOf(t, "serve"); !slices.Equal(doctor, serve) {
		t.Errorf("the doctor takes %v, want %v", doctor, serve)
	}
}

func TestNoSecretHasAFlag(t *testing.T) {
	for _, command := range []string{"serve", "doctor", "connect", "machine", "account", "publish", "admin", "demo"} {
		for _, s := range settingsOf(t, command) {
			for _, name := range strings.Split(s.env, ", ") {
				if slices.Contains(secrets(), name) {
					t.Errorf("%s %s shows the secret %s on the command line", command, s.flag, name)
				}
			}
		}
	}
}

// shown is a line of .env.example that shows a setting without setting it.
var shown = regexp.MustCompile(`(?m)^# ?([A-Z][A-Z0-9_]*)=(.*)$`)

func TestTheExampleEnvFileSetsNothingAndNamesOnlyWhatIsKnown(t *testing.T) {
	text, err := os.ReadFile("../../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	set, err := parseDotEnv(string(text))
	if err != nil {
		t.Fatalf("it does not parse: %v", err)
	}
	initial := map[string]string{}
	for _, command := range []string{"serve", "connect"} {
		for _, s := range settingsOf(t, command) {
			name, _, _ := strings.Cut(s.env, ", ")
			initial[name] = s.initial
		}
	}
	for _, name := range secrets() {
		initial[name] = ""
	}
	all := maps.Clone(set)
	for _, line := range shown.FindAllStringSubmatch(string(text), -1) {
		all[line[1]] = strings.TrimSpace(line[2])
	}
	for name, value := range all {
		if want, known := initial[name]; !known || value != want {
			t.Errorf("%s=%s: want the default %q, of a setting there is (%v)", name, value, want, known)
		}
	}
	if got, want := slices.Sorted(maps.Keys(set)), []string{"JWT_SECRET", "PORT", "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_URL"}; !slices.Equal(got, want) {
		t.Errorf("not commented are %q, want %q", got, want)
	}
}

func (s setting) row() string {
	quote := func(s string) string {
		if s == "" {
			return ""
		}
		return "`" + strings.ReplaceAll(s, ", ", "`, `") + "`"
	}
	return "| " + strings.Join([]string{quote(s.flag), quote(s.env), quote(s.initial), s.help}, " | ") + " |"
}

// settingsOf are the flags of a command, or of its first subcommand, that have a name in the
// environment.
func settingsOf(t *testing.T, command string) []setting {
	t.Helper()
	parser, err := newParser(&console{out: io.Discard, err: io.Discard}, &cli{}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	node := parser.Model.Node
	for node = child(node, command); len(node.Children) > 0; node = node.Children[0] {
	}
	var found []setting
	for _, f := range node.Flags {
		if len(f.Envs) > 0 {
			found = append(found, setting{"--" + f.Name, strings.Join(f.Envs, ", "), f.Default, f.Help})
		}
	}
	return found
}

func child(node *kong.Node, name string) *kong.Node {
	i := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == name })
	return node.Children[i]
}

// tables reads the tables of the settings page by the heading they stand under.
func tables(t *testing.T) map[string][]setting {
	t.Helper()
	page, err := os.ReadFile("../../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]setting{}
	heading := ""
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			heading = title
		}
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		var s setting
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i, into := range []*string{&s.flag, &s.env, &s.initial, &s.help} {
			if i < len(cells) {
				*into = strings.ReplaceAll(strings.TrimSpace(cells[i]), "`", "")
			}
		}
		found[heading] = append(found[heading], s)
	}
	return found
}
