package supabase

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/rows"
)

func TestAllProblemsOfAConfigAreReportedAtOnce(t *testing.T) {
	_, err := Open(t.Context(), Config{
		URL: "https://abc.supabase.co/rest/v1", ServiceKey: "sb_publishable_xyz", Installation: "UPPERCAS", Renew: -1, Names: rows.Names{Key: "id"},
	})
	for _, want := range []string{"more than the root", "publishable", "logger", "UPPERCAS", "renewed", "same column"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
}

func TestOnlyKeysThatSeeEveryRowAreTaken(t *testing.T) {
	past := time.Now().Add(-time.Hour).Unix()
	for _, x := range []struct {
		key  directory.Key
		want string // "": taken
	}{
		{secret, ""},
		{token(`{"iss":"supabase","role":"service_role","exp":4102444800}`), ""},
		{token(`{"role":"service_role"}`), ""},
		{"", "missing"},
		{"sb_publishable_abc", "publishable"},
		{token(`{"role":"anon","exp":4102444800}`), `role "anon"`},
		{token(`{"role":"authenticated"}`), `role "authenticated"`},
		{token(`{}`), `role ""`},
		{token(fmt.Sprintf(`{"role":"service_role","exp":%d}`, past)), "expired"},
		{token(`not json`), "begins like a JWT"},
		{"eyJhbGciOi.half", "begins like a JWT"},
		{"eyJ.!.x", "begins like a JWT"},
		{secret + "\n", "line break"},
		{"postgres://user:password@host/db", "no key of a Supabase project"},
	} {
		_, err := inspectKey(x.key)
		switch {
		case x.want == "" && err != nil:
			t.Errorf("a good key is refused: %v", err)
		case x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want) || hintOf(err) == ""):
			t.Errorf("the error is %v (%s), want %q", err, hintOf(err), x.want)
		case err != nil && len(x.key) > 0 && strings.Contains(err.Error()+hintOf(err), string(x.key)):
			t.Errorf("the error repeats the key: %v", err)
		}
	}
}

func TestOnlyTheRootOfAPrimaryIsTaken(t *testing.T) {
	for address, want := range map[string]string{
		"https://abcdefghijklmnopqrst.supabase.co":  "",
		"https://abcdefghijklmnopqrst.supabase.co/": "",
		" https://api.example.com ":                 "",
		"http://localhost:54321":                    "",
		"http://10.0.0.7:8000":                      "",
		"https://fleet-all.example.com":             "",
		"":                                          "missing",
		"abcdefghijklmnopqrst.supabase.co":          "no http",
		"postgres://postgres@db.abcdefghijklmnopqrst.supabase.co":     "no http",
		"https://abcdefghijklmnopqrst.supabase.co/rest/v1":            "more than the root",
		"https://abcdefghijklmnopqrst.supabase.co?apikey=secret":      "more than the root",
		"https://user:secret@abcdefghijklmnopqrst.supabase.co":        "more than the root",
		"https://supabase.com/dashboard/project/abcdefghijklmnopqrst": "more than the root",
		"https://abcdefghijklmnopqrst-rr-us-east-1-jkjqy.supabase.co": "read replica",
		"https://abcdefghijklmnopqrst-all.supabase.co":                "load balancer",
		"https://ABCDEFGHIJKLMNOPQRST-ALL.SUPABASE.CO":                "load balancer",
		"https://db.abcdefghijklmnopqrst.supabase.co":                 "the database itself",
		"https://aws-0-eu-central-1.pooler.supabase.com":              "the database itself",
		"http://abcdefghijklmnopqrst.supabase.co":                     "https://",
		"https://app.supabase.com":                                    "no project",
	} {
		_, err := parseAddress(address)
		if want == "" && err != nil {
			t.Errorf("%s is refused: %v", address, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want) || hintOf(err) == "" || strings.Contains(err.Error(), "secret")) {
			t.Errorf("the error for %s is %v (%s), want %q", address, err, hintOf(err), want)
		}
	}
}

func TestAConfigAndADirectoryShowNoKey(t *testing.T) {
	s := newScripted(t)
	c := s.config(&journal{})
	d := s.open(t, c)
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		expectNoSecrets(t, fmt.Sprintf(verb, c)+fmt.Sprintf(verb, d.Accounts())+fmt.Sprintf(verb, d.Machines()))
	}
}

func TestIDsKeepTheirText(t *testing.T) {
	for raw, want := range map[string]string{
		`"3f333df6-90a4-4fda-8dd3-9485d27cee36"`: "3f333df6-90a4-4fda-8dd3-9485d27cee36",
		`9007199254740993`:                       "9007199254740993", `-5`: "-5", `"* . \"\\ €"`: "* . \"\\ €", `""`: "",
	} {
		if id, err := canonicalID([]byte(raw)); err != nil || id != want {
			t.Errorf("%s is %q (%v)", raw, id, err)
		}
	}
	for _, raw := range []string{``, `null`, `true`, `1.5`, `1e3`, `{}`, `[1]`, `9223372036854775808`} {
		if id, err := canonicalID([]byte(raw)); err == nil {
			t.Errorf("%s is an id: %q", raw, id)
		}
	}
}

func TestOnlyIDsOfTheTypeAreAskedFor(t *testing.T) {
	for kind, ids := range map[idKind][2][]string{
		textID:   {{"", "any thing", "1"}, {"\x00", "\xff"}},
		numberID: {{"0", "-7", "9223372036854775807"}, {"", "007", "+1", "1.0", "9223372036854775808", "x"}},
		uuidID:   {{"3f333df6-90a4-4fda-8dd3-9485d27cee36"}, {"", "3F333DF6-90A4-4FDA-8DD3-9485D27CEE36", "3f333df690a44fda8dd39485d27cee36", "{3f333df6-90a4-4fda-8dd3-9485d27cee36"}},
	} {
		for i, list := range ids {
			for _, id := range list {
				if kind.fits(id) != (i == 0) {
					t.Errorf("kind %d fits %q: %v", kind, id, i != 0)
				}
			}
		}
		if !kind.fits(kind.stranger()) {
			t.Errorf("the stranger of kind %d is %q", kind, kind.stranger())
		}
	}
}

func FuzzRows(f *testing.F) {
	for _, s := range []string{`[]`, `null`, `[{"id":1,"apikey":"k"}]`, `[{"id":"a","apikey":null},{}]`, `[[`, `{"id":1}`, `[{"id":1e9}]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		found, err := decodeRows(body, "id", "apikey")
		if err != nil && len(found) > 0 {
			t.Error("an answer that is none has rows")
		}
		for _, r := range found {
			if r.key == "" && len(r.account().Digests) > 0 {
				t.Error("an account without a key is opened by one")
			}
		}
	})
}

func FuzzFrame(f *testing.F) {
	for _, s := range []string{
		`["1","1","realtime:x","phx_reply",` + `{"status":"ok","response":` + echo + `}]`,
		`[null,null,"realtime:x","system",` + systemBad + `]`, `[1,2,3,4,5]`, `[]`, `null`, `{"topic":"x"}`,
		`[null,null,"t","postgres_changes",{"data":{"type":"DELETE","old_record":{"id":9007199254740993}}}]`,
		`[null,null,"t","postgres_changes",{"data":{"type":"UPDATE","record":null,"old_record":[]}}]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := decodeFrame(data)
		if err != nil {
			return
		}
		got.answers("1")
		c, err := decodeChange(got.payload)
		if err == nil && c.kind != "INSERT" && c.kind != "UPDATE" && c.kind != "DELETE" {
			t.Errorf("a change is a %q", c.kind)
		}
		if id, ok := idIn(c.before, "id"); !ok && id != "" {
			t.Errorf("no id is %q", id)
		}
	})
}
