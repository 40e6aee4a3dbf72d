package supabase

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/rows"
)

const (
	// clockSlack is how far our clock may be from the project's.
	clockSlack = 30 * time.Second
	// sampleRows is how many accounts are compared with each other.
	sampleRows = 1000
	// nowhere stands for the installation of a gateway that has never run. Nothing is enrolled there.
	nowhere = "aaaaaaaa"
)

// Diagnose looks at everything that Open and the running directory depend on, and says what to do. It
// changes nothing. Of the accounts it reads some, and tells nothing of their keys.
func Diagnose(ctx context.Context, c Config) []directory.Finding {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Registerer = nil
	if c.Installation == "" {
		c.Installation = nowhere
	}
	c = c.withDefaults()
	x := &examination{}
	if !x.settings(c) {
		return x.findings
	}
	d, r, err := newDirectory(ctx, c)
	if err != nil {
		x.add("settings", directory.Fail, err.Error(), hintOf(err))
		return x.findings
	}
	defer d.Close()
	if !x.table(ctx, d) {
		return x.findings
	}
	x.filter(ctx, d)
	x.functions(ctx, d, c)
	x.realtime(ctx, d, r)
	return x.findings
}

// examination gathers findings.
type examination struct{ findings []directory.Finding }

func (x *examination) add(topic string, l directory.Level, text, hint string) *directory.Finding {
	x.findings = append(x.findings, directory.Finding{Topic: topic, Level: l, Text: text, Hint: hint})
	return &x.findings[len(x.findings)-1]
}

// fail adds what went wrong, in words that name no key.
func (x *examination) fail(d *directory.Finding, err error) {
	d.Level, d.Text, d.Hint = directory.Fail, err.Error(), hintOf(err)
}

// settings looks at what can be told without asking anybody.
func (x *examination) settings(c Config) bool {
	root, err := parseAddress(c.URL)
	if err != nil {
		x.fail(x.add("url", 0, "", ""), err)
	} else if isHosted(root) {
		x.add("url", directory.OK, "a project of the platform: "+root.Host, "")
	} else {
		x.add("url", directory.OK, "a self-hosted project: "+root.Host, "")
	}
	kind, keyErr := inspectKey(c.ServiceKey)
	if keyErr != nil {
		x.fail(x.add("key", 0, "", ""), keyErr)
	} else {
		x.add("key", directory.OK, "the key is "+kind.String(), "")
	}
	namesErr := c.Names.Check()
	if namesErr != nil {
		x.fail(x.add("names", 0, "", ""), namesErr)
	}
	return err == nil && keyErr == nil && namesErr == nil
}

// table reads some accounts: whether there are any, whether keys are unique, and what the time is.
func (x *examination) table(ctx context.Context, d *Directory) bool {
	n := d.names
	a, err := d.rest.do(ctx, request{kind: "probe", path: n.Accounts, repeat: true, query: url.Values{
		"select": {column(n.ID) + "," + column(n.Key)}, "limit": {fmt.Sprint(sampleRows)},
	}})
	if err != nil {
		if refused := d.refusal(err); refused != nil {
			err = refused
		}
		x.fail(x.add("table", 0, "", ""), err)
		return false
	}
	x.clock(a.header)
	found, err := decodeRows(a.body, n.ID, n.Key)
	if err != nil {
		x.fail(x.add("table", 0, "", ""), err)
		return false
	}
	name := n.Schema + "." + n.Accounts
	if len(found) == 0 {
		x.add("table", directory.Warn, "table "+name+" looks empty; until a row is seen, a secret key has not shown that it sees every row", "Add an account.")
		return true
	}
	x.add("table", directory.OK, fmt.Sprintf("table %s has columns %s and %s, and rows", name, n.ID, n.Key), "")
	x.unique(d, found)
	return true
}

func (x *examination) clock(h http.Header) {
	at, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	if off := time.Since(at).Abs(); off > clockSlack {
		x.add("clock", directory.Warn, fmt.Sprintf("this machine's clock and the project's differ by %v", off.Round(time.Second)), "Set the clock, by NTP.")
		return
	}
	x.add("clock", directory.OK, "the clocks agree", "")
}

// unique compares the keys of some accounts: REST does not tell of indexes.
func (x *examination) unique(d *Directory, found []row) {
	n := d.names
	sql := fmt.Sprintf("alter table %s add unique (%s);", n.Table(n.Accounts), rows.Quote(n.Key))
	owner := make(map[directory.Digest]string)
	without := 0
	for _, r := range found {
		if r.key == "" {
			without++
			continue
		}
		if other, taken := owner[r.key.Digest()]; taken {
			x.add("keys", directory.Fail, fmt.Sprintf("accounts %q and %q have the same key: neither is admitted", other, r.id),
				"Give one of them another key, then have the database see to it.").SQL = sql
			return
		}
		owner[r.key.Digest()] = r.id
	}
	text := fmt.Sprintf("%d accounts were compared and no two have the same key", len(found)-without)
	if without > 0 {
		text += fmt.Sprintf("; %d have none and cannot connect", without)
	}
	x.add("keys", directory.OK, text, "REST does not tell whether the database sees to it. If it does not yet, it should.").SQL = sql
}

// filter looks a random key up, as the start-up test does.
func (x *examination) filter(ctx context.Context, d *Directory) {
	if err := d.prove(ctx); err != nil {
		x.fail(x.add("filter", 0, "", ""), err)
		return
	}
	x.add("filter", directory.OK, "a random key finds nothing", "")
}

// functions looks at what the owner may have installed.
func (x *examination) functions(ctx context.Context, d *Directory, c Config) {
	if !d.standing().proven {
		return
	}
	const hint = "Run the script once, in the SQL editor of the project."
	if d.KeysInURL() {
		x.add("functions", directory.Warn, "API keys are looked up by URL, so they are readable in the project's own API logs", hint).SQL = d.names.Migration()
	} else {
		x.add("functions", directory.OK, "API keys are looked up in the body of a POST, which is in no log", "")
	}
	err := rows.NewMachines(caller{d.rest}, c.Installation, c.Logger).Installed(ctx)
	switch {
	case errors.Is(err, rows.ErrNotInstalled):
		x.add("machines", directory.Warn, "the project keeps no machines, so the gateway does; deleting an account deletes its machines all the same",
			hint+" Machines are then rows that your own dashboard lists and deletes.").SQL = d.names.Migration()
	case err != nil:
		x.fail(x.add("machines", 0, "", ""), err)
	default:
		d.machines = &rows.Machines{}
		x.add("machines", directory.OK, "machines are rows of "+d.names.Schema+"."+d.names.Machines, "")
	}
}

// realtime joins and waits until changes flow.
func (x *examination) realtime(ctx context.Context, d *Directory, r *realtime) {
	d.bind(r.line)
	err := r.line.try(ctx)
	if err == nil && strings.Contains(d.names.Accounts, " ") {
		x.add("realtime", directory.Warn, "Realtime leaves out tables with a space in their name, so changes are found by polling only", "Rename the table.")
		return
	}
	if err == nil {
		x.add("realtime", directory.OK, "changes are reported as they happen", "")
		return
	}
	f := x.add("realtime", directory.Fail, "changes are found by polling only, because "+err.Error(), "")
	if errors.Is(err, errNotWatched) {
		f.Hint = "Publish the tables. Each needs a primary key, and the accounts' must be " + d.names.ID + "."
		for _, b := range r.line.bindings {
			f.SQL += "alter publication supabase_realtime add table " + d.names.Table(b.Table) + ";\n"
		}
	}
}

// try opens one link and returns as soon as changes flow, or why they do not.
func (l *line) try(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, l.pace.join+l.pace.join+l.pace.confirm)
	defer l.client.CloseIdleConnections()
	out := make(chan signal)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	work.Go(func() { newLink(l, out).run(ctx, ctx) }) // ends with ctx
	for {
		select {
		case s := <-out:
			if s.live || s.ended != nil {
				return s.ended
			}
		case <-ctx.Done():
			return errors.New("there was no time to wait for it")
		}
	}
}
