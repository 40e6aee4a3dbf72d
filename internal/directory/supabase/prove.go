package supabase

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"net/url"
	"time"
)

// standing is what is known of the project. Without proof nothing is answered.
type standing struct {
	proven    bool // a random key finds nothing
	functions bool // those that take keys in a body are installed
	ids       idKind
}

func (d *Directory) standing() standing {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known
}

// KeysInURL tells whether API keys travel in URLs, because the functions are not installed.
func (d *Directory) KeysInURL() bool { s := d.standing(); return s.proven && !s.functions }

// prove examines the project. What it refuses for good is a *hinted; after anything else it is worth
// trying again, and what was known before still stands.
func (d *Directory) prove(ctx context.Context) error {
	s, err := d.examine(ctx)
	if err != nil {
		if refused := d.refusal(err); refused != nil {
			d.setStanding(standing{})
			return refused
		}
		return err
	}
	before := d.setStanding(s)
	if before.proven && before.functions && !s.functions {
		d.log.Warn("the functions that take keys in a body are gone; keys are in URLs again, and so in the project's API logs")
	}
	d.most.Store(math.MaxInt32)
	return nil
}

func (d *Directory) setStanding(s standing) (before standing) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, d.known = d.known, s
	return before
}

// errStripped is the authentication hole: any key would open any account.
var errStripped = &hinted{
	"a question for a random key was answered with rows: something between here and the database drops the filter, and any key would open any account",
	"Rename the key column, or install the functions that take keys in a body.",
}

func (d *Directory) examine(ctx context.Context) (standing, error) {
	stranger := []string{randomKey()}
	s := standing{proven: true, functions: true}
	found, err := d.readFunction(ctx, d.byKey(), stranger)
	if isMissingFunction(err) {
		s.functions = false
		found, err = d.readTable(ctx, d.byKey(), stranger)
	}
	if len(found) > 0 {
		return standing{}, errStripped
	}
	if err != nil {
		return standing{}, err
	}
	if s.functions {
		d.sees.Store(true) // only the service role may run them
		return s, nil
	}
	s.ids, err = d.examineID(ctx)
	return s, err
}

// examineID finds the type of the id column by what it takes.
func (d *Directory) examineID(ctx context.Context) (idKind, error) {
	for _, x := range []struct {
		kind  idKind
		takes string
	}{{textID, "fleetline"}, {numberID, "0"}} {
		_, err := d.readTable(ctx, d.byID(), []string{x.takes})
		if err == nil {
			return x.kind, nil
		}
		if f, ok := errors.AsType[*failure](err); !ok || f.code != "22P02" {
			return 0, err
		}
	}
	return uuidID, nil
}

// randomKey is one that no account has.
func randomKey() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return "flk_" + base64.RawURLEncoding.EncodeToString(b[:])
}

// showRole is asked before an absence is said. To a key that does not see every row, what is hidden
// looks deleted. A legacy key names its role; any other has shown it by running what only the service
// role may run, or by seeing a row.
func (d *Directory) showRole(ctx context.Context) error {
	if d.sees.Load() {
		return nil
	}
	page, err := d.page(ctx, "check", "", 1)
	if err != nil {
		return err
	}
	if len(page) == 0 {
		return errEmpty
	}
	d.sees.Store(true)
	return nil
}

var errEmpty = unusable(200, "the table of accounts looks empty; as long as no row is seen, nobody is said to be absent")

func isMissingFunction(err error) bool {
	f, ok := errors.AsType[*failure](err)
	return ok && f.status == 404 && f.code == "PGRST202"
}

// refusal explains what will not pass by itself; nil for everything else.
func (d *Directory) refusal(err error) error {
	if h, ok := errors.AsType[*hinted](err); ok {
		return h
	}
	f, ok := errors.AsType[*failure](err)
	if !ok {
		return nil
	}
	n := d.names
	switch {
	case f.code == "PGRST205", f.code == "42P01":
		return &hinted{fmt.Sprintf("there is no table %s.%s (%v)", n.Schema, n.Accounts, f),
			"Make it, or set its name. If it was made a moment ago, run: notify pgrst, 'reload schema';"}
	case f.code == "42703":
		return &hinted{fmt.Sprintf("table %s.%s has no column %s or %s (%v)", n.Schema, n.Accounts, n.ID, n.Key, f), "Set the names of its columns."}
	case f.code == "PGRST106":
		return &hinted{fmt.Sprintf("schema %s is not exposed (%v)", n.Schema, f), "Add it to the exposed schemas: Project Settings, Data API."}
	case f.code == "FL002":
		return &hinted{fmt.Sprintf("the functions refuse to answer (%v)", f),
			"They do so on a read replica, and where row-level security hides rows from the key's role."}
	case f.code == "42501", f.status == 403:
		return &hinted{fmt.Sprintf("the key may not read table %s.%s (%v)", n.Schema, n.Accounts, f),
			fmt.Sprintf("Run: grant select on %s to service_role;", n.Table(n.Accounts))}
	case f.status == 401:
		return &hinted{fmt.Sprintf("the project refuses the key (%v)", f), keyHint}
	}
	return nil
}

// keepProving looks again from time to time at what is installed, and soon if nothing is proven.
func (d *Directory) keepProving(ctx context.Context) {
	wait := newBackoff(d.pace)
	for {
		var pause time.Duration
		if d.standing().proven {
			pause = d.pace.again - mathrand.N(d.pace.again/5+1)
			wait = newBackoff(d.pace)
		} else {
			pause = wait.next(0, 0)
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-d.doubted:
		case <-t.C:
		}
		t.Stop()
		err := d.prove(ctx)
		if h := hintOf(err); h != "" {
			d.log.Error("the directory is refused; nothing is answered from it", "err", err, "hint", h)
		}
		d.note(err)
		sleepInside(ctx, d.pace.reconnect) // doubts that never end must not become a storm
	}
}

// doubt asks for a new proof.
func (d *Directory) doubt() {
	select {
	case d.doubted <- struct{}{}:
	default:
	}
}

// note takes in how a question went.
func (d *Directory) note(err error) {
	if errors.Is(err, errNobody) {
		return
	}
	if errors.Is(err, errStranger) || isMissingFunction(err) {
		d.doubt()
	}
	d.complaint.Note(err)
}

// page reads ids in order, after one; "" begins.
func (d *Directory) page(ctx context.Context, kind, after string, limit int) ([]row, error) {
	id := column(d.names.ID)
	query := url.Values{"select": {id}, "order": {id + ".asc"}, "limit": {fmt.Sprint(limit)}}
	if after != "" {
		query.Set("and", "("+id+".gt."+quoted(after)+")")
	}
	a, err := d.rest.do(ctx, request{kind: kind, path: d.names.Accounts, query: query, repeat: true})
	if err != nil {
		return nil, err
	}
	found, err := decodeRows(a.body, d.names.ID, "")
	if err != nil || a.status != 200 {
		return nil, errNoList
	}
	return found, nil
}
