package supabase

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/rows"
)

const (
	// mostInURL is how many values one URL asks for at most.
	mostInURL = 150
	// mostInBody is the same for a body; well below the 1,000 rows of an answer.
	mostInBody = 512
	// maxBody bounds the values of one body.
	maxBody = 256 << 10
)

// question asks for the rows that have one of some values in one column.
type question struct {
	kind     string // for the metrics
	function string // that answers it, if it is installed
	argument string // of the function
	column   string
	// name is what a row with the value is known by, and nameOf that of a row: keys are known by
	// their digests, so that no comparison takes longer the more of a key is right.
	name   func(value string) string
	nameOf func(row) string
}

func (d *Directory) byKey() question {
	digest := func(s string) string { d := directory.Key(s).Digest(); return string(d[:]) }
	return question{
		kind: "lookup", function: rows.AccountsByKey, argument: "keys", column: column(d.names.Key),
		name: digest, nameOf: func(r row) string { return digest(string(r.key)) },
	}
}

func (d *Directory) byID() question {
	return question{
		kind: "check", function: rows.AccountsByID, argument: "ids", column: column(d.names.ID),
		name: func(id string) string { return id }, nameOf: func(r row) string { return r.id },
	}
}

var (
	errCut      = unusable(200, "the answer was cut short by the project's limit of rows")
	errNoTotal  = unusable(200, "the answer does not say whether it is whole")
	errNoList   = unusable(200, "the answer is no list of rows")
	errStranger = unusable(200, "the answer holds rows that nobody asked for")
)

// readFunction asks by POST: no value is in a URL.
func (d *Directory) readFunction(ctx context.Context, q question, values []string) ([]row, error) {
	a, err := d.rest.do(ctx, request{
		kind: q.kind, path: "rpc/" + q.function, body: map[string]any{q.argument: values}, repeat: true, count: true,
	})
	if err != nil {
		return nil, err
	}
	return wholeRows(a, "id", "apikey")
}

// readTable asks by GET. The parameter is named "and", never after the column: a parameter named
// apikey is taken for the project's key by some gateways, and the question becomes one for all rows.
func (d *Directory) readTable(ctx context.Context, q question, values []string) ([]row, error) {
	a, err := d.rest.do(ctx, d.tableRequest(q, values))
	if err != nil {
		return nil, err
	}
	return wholeRows(a, d.names.ID, d.names.Key)
}

func (d *Directory) tableRequest(q question, values []string) request {
	return request{kind: q.kind, path: d.names.Accounts, repeat: true, count: true, query: url.Values{
		"select": {column(d.names.ID) + "," + column(d.names.Key)},
		"and":    {anyOf(q.column, values)},
		"limit":  {strconv.Itoa(len(values) + 1)},
	}}
}

// anyOf is a filter; values is never empty, for an empty list may be read as no filter.
func anyOf(column string, values []string) string {
	if len(values) == 1 {
		return "(" + column + ".eq." + quoted(values[0]) + ")"
	}
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = quoted(v)
	}
	return "(" + column + ".in.(" + strings.Join(list, ",") + "))"
}

var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// column is the name of a column as PostgREST reads it.
func column(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return quoted(name)
}

var quotes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func quoted(v string) string { return `"` + quotes.Replace(v) + `"` }

// wholeRows reads the rows of an answer. With errCut it returns those that came.
func wholeRows(a answer, id, key string) ([]row, error) {
	if a.status != 200 && a.status != 206 {
		return nil, unusable(a.status, "HTTP "+strconv.Itoa(a.status)+" is no answer to a question")
	}
	found, err := decodeRows(a.body, id, key)
	if err != nil {
		return nil, errNoList
	}
	_, total, ok := strings.Cut(a.header.Get("Content-Range"), "/")
	n, err := strconv.Atoi(total)
	switch {
	case a.status == 206 || ok && err == nil && n != len(found):
		return found, errCut
	case !ok || err != nil:
		return nil, errNoTotal
	}
	return found, nil
}

// read asks in the way that is possible, and refuses what nobody asked for.
func (d *Directory) read(ctx context.Context, q question, values []string) ([]row, error) {
	ask := d.readTable
	if d.standing().functions {
		ask = d.readFunction
	}
	found, err := ask(ctx, q, values)
	if err != nil && !errors.Is(err, errCut) {
		return nil, err
	}
	asked := make(map[string]bool, len(values))
	for _, v := range values {
		asked[q.name(v)] = true
	}
	if slices.ContainsFunc(found, func(r row) bool { return !asked[q.nameOf(r)] }) {
		return nil, errStranger
	}
	return found, err
}

// pieces cuts values into questions that are short enough. Values that fit into none are left out.
func (d *Directory) pieces(q question, values []string) [][]string {
	most, room, size := mostInBody, maxBody, func(v string) int { return len(v) }
	if !d.standing().functions {
		none := d.rest.address(d.tableRequest(q, []string{"", ""})).String()
		most, room = mostInURL, maxURL-len(none)
		size = func(v string) int { return len(url.QueryEscape(quoted(v)+",")) + 2*strings.Count(v, " ") }
	}
	most = min(most, int(d.most.Load()))
	var pieces [][]string
	begin, used := 0, 0
	fitting := slices.DeleteFunc(slices.Clone(values), func(v string) bool { return size(v) > room })
	for i, v := range fitting {
		if i-begin == most || used+size(v) > room {
			pieces = append(pieces, fitting[begin:i])
			begin, used = i, 0
		}
		used += size(v)
	}
	if begin < len(fitting) {
		pieces = append(pieces, fitting[begin:])
	}
	return pieces
}
