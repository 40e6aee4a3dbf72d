package supabase

import (
	"strings"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/pgtest"
	"github.com/fleetline/fleetline/internal/directory/supabase/standin"
)

// trial is a running directory over a project that is about to break.
type trial struct {
	*project
	t      *testing.T
	d      *Directory
	log    *journal
	events *heard
	there  string // an account's id; its key is present
	gone   string // of an account that was deleted
}

const present, absent = directory.Key("a key that is there"), directory.Key("a key that is not")

func newTrial(t *testing.T, s *pgtest.Server, legacy bool) *trial {
	p := newProject(t, s, "uuid", standin.Config{PublicationCheck: 200 * time.Millisecond})
	x := &trial{project: p, t: t, log: &journal{}, there: p.add(present), gone: p.add("deleted")}
	p.delete(x.gone)
	x.d = p.open(p.config(p.key(legacy), x.log))
	x.events = hear(t, x.d)
	x.events.waitFor(t, "live")
	return x
}

func (x *trial) ask() string {
	got := x.d.Accounts().Lookup(x.t.Context(), []directory.Key{present, absent})
	return verdicts(append(got, x.d.Accounts().Check(x.t.Context(), []string{x.there, x.gone})...))
}

// expectTruth is what a healthy project tells.
func (x *trial) expectTruth() {
	x.t.Helper()
	want := "found " + x.there + ", not found, found " + x.there + ", not found"
	waitUntil(x.t, "the truth is told again", func() bool { return x.ask() == want })
}

// expectReport is a deletion that is told of as it happens.
func (x *trial) expectReport() {
	x.t.Helper()
	id := x.add("short-lived")
	x.delete(id)
	x.events.waitFor(x.t, "gone "+id)
}

func (x *trial) expectNoSecrets() {
	x.t.Helper()
	for _, k := range []string{x.Keys().Secret, x.Keys().ServiceRole, string(present), string(absent), "a%20key", "sb_secret_", "eyJ"} {
		if strings.Contains(x.log.String(), k) {
			x.t.Errorf("a key shows in the log: %s", x.log)
		}
	}
}

func TestTheFaultMatrix(t *testing.T) {
	t.Parallel()
	s := server(t)
	matrix := standin.Matrix()
	for name, f := range matrix {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			x := newTrial(t, s, len(name)%2 == 0)
			switch {
			case name == "apikey parameter kept":
				x.Break(f)
				x.expectTruth()
			case f.Status != 0 || f.Body != standin.Whole || f.Delay != 0:
				x.breakAnswers(f)
			case f.Mute || f.Lose > 0:
				x.breakEvents(f)
			case f.SystemDelay > 0:
				x.delayLive(f)
			default:
				x.breakFeed(f)
			}
			x.expectTruth()
			x.expectNoSecrets()
		})
	}
}

// breakAnswers: nobody is found or absent while there are no answers, and changes flow all the while.
func (x *trial) breakAnswers(f standin.Faults) {
	x.d.rest.pace.request = 200 * time.Millisecond // nothing is asked at this moment
	x.Break(f)
	if got := x.ask(); got != "unavailable, unavailable, unavailable, unavailable" {
		x.t.Errorf("the answer is %s", got)
	}
	x.d.rest.pace.request = quick().request
	x.expectReport()
	x.Break(standin.Faults{})
}

// breakEvents: what is never reported is found by a check.
func (x *trial) breakEvents(f standin.Faults) {
	x.Break(f)
	id := x.add("never reported")
	x.delete(id)
	if got := verdicts(x.d.Accounts().Check(x.t.Context(), []string{id, x.there})); got != "not found, found "+x.there {
		x.t.Errorf("the answer is %s", got)
	}
	x.Break(standin.Faults{})
	waitUntil(x.t, "changes flow again", func() bool {
		id := x.add("short-lived")
		x.delete(id)
		return x.events.has("gone "+id, time.Second)
	})
}

// delayLive: nothing is live before the system's ok, and what changed before it is found by a check.
func (x *trial) delayLive(f standin.Faults) {
	id := x.add("deleted too early")
	x.Break(f)
	x.Drop()
	x.events.waitFor(x.t, "lost: ")
	x.delete(id)
	x.events.waitFor(x.t, "live")
	if got := verdicts(x.d.Accounts().Check(x.t.Context(), []string{id})); got != "not found" {
		x.t.Errorf("the answer is %s", got)
	}
	x.Break(standin.Faults{})
	x.expectReport()
}

// breakFeed: a feed that does not begin is lost, answers go on, and it begins when it can.
func (x *trial) breakFeed(f standin.Faults) {
	x.Break(f)
	if !f.Blackhole {
		x.Drop()
	}
	x.events.waitFor(x.t, "lost: ")
	x.expectTruth()
	x.Break(standin.Faults{})
	x.events.waitFor(x.t, "live")
	x.expectReport()
}

func TestAFeedThatIsCutComesBack(t *testing.T) {
	t.Parallel()
	s := server(t)
	for name, cut := range map[string]func(x *trial){
		"Drop":           func(x *trial) { x.Drop() },
		"PhxError":       func(x *trial) { x.Crash() },
		"SystemAndClose": func(x *trial) { x.ShutDown("Too many messages per second") },
		"Outage": func(x *trial) {
			if err := x.Outage(true); err != nil {
				x.t.Fatal(err)
			}
			if got := x.ask(); got != "unavailable, unavailable, unavailable, unavailable" {
				x.t.Errorf("the answer is %s", got)
			}
			if err := x.Outage(false); err != nil {
				x.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTrial(t, s, false)
			cut(x)
			x.events.waitFor(t, "lost: ")
			x.events.waitFor(t, "live")
			x.expectReport()
			x.expectTruth()
			x.expectNoSecrets()
		})
	}
}

func TestARepeatedSystemOKIsReportedWithoutALoss(t *testing.T) {
	t.Parallel()
	x := newTrial(t, server(t), true)
	x.RepeatSystemOK()
	x.events.waitFor(t, "live")
	x.expectReport()
	for _, e := range x.events.all() {
		if strings.HasPrefix(e, "lost") {
			t.Errorf("it is %s", e)
		}
	}
}

func TestARotatedServiceKeyMakesNobodyAbsent(t *testing.T) {
	t.Parallel()
	x := newTrial(t, server(t), false)
	x.RotateKeys()
	x.Drop()
	if e := x.events.waitFor(t, "lost: realtime refuses"); e != "lost: realtime refuses the key (HTTP 401)" {
		t.Errorf("the feed is %s", e)
	}
	if got := x.ask(); got != "unavailable, unavailable, unavailable, unavailable" {
		t.Errorf("the answer is %s", got)
	}
	if log := x.log.String(); !strings.Contains(log, "HTTP 401 (the key is refused)") {
		t.Errorf("the log is %s", log)
	}
	c := x.config(x.Keys().Secret, x.log)
	x.d = x.open(c)
	x.expectTruth()
}

func TestWhatTheOwnerForgotIsSaidAtTheStart(t *testing.T) {
	t.Parallel()
	s := server(t)
	for name, x := range map[string]struct {
		bend func(*project, *Config)
		want string
	}{
		"NoTable":  {func(_ *project, c *Config) { c.Names.Accounts = "users" }, "there is no table public.users (HTTP 404 PGRST205)"},
		"NoColumn": {func(_ *project, c *Config) { c.Names.Key = "api_key" }, "table public.user has no column id or api_key (HTTP 400 42703)"},
		"NoSchema": {func(_ *project, c *Config) { c.Names.Schema = "private" }, "schema private is not exposed (HTTP 406 PGRST106)"},
		"NoGrant":  {func(p *project, _ *Config) { p.db.Exec(p.t, `revoke all on "user" from service_role`) }, "the key may not read table public.user (HTTP 403 42501)"},
		"Guarded": {func(p *project, _ *Config) {
			p.installAll()
			p.db.Exec(p.t, `create or replace function fleetline_guard() returns void language plpgsql as $$ begin
				raise exception using errcode = 'FL002', message = 'this server is a replica, not the primary'; end $$`)
		}, "the functions refuse to answer (HTTP 400 FL002)"},
		"OldKey":    {func(p *project, _ *Config) { p.RotateKeys() }, "the project refuses the key (HTTP 401 (the key is refused))"},
		"AnonToken": {func(p *project, c *Config) { c.ServiceKey = directory.Key(p.Keys().Anon) }, `the service key has the role "anon", not service_role`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, s, "uuid", standin.Config{})
			c := p.config(p.Keys().Secret, &journal{})
			x.bend(p, &c)
			d, err := Open(t.Context(), c)
			if err == nil {
				d.Close()
				t.Fatal("it starts")
			}
			if !strings.Contains(err.Error(), x.want) || hintOf(err) == "" {
				t.Errorf("the error is %v (%s)", err, hintOf(err))
			}
		})
	}
}
