package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/jackc/pgx/v5/pgconn"
)

// guardFailed is the code of the refusals that package rows words itself.
const guardFailed = "FL002"

// words are what people are told for an SQLSTATE. What PostgreSQL says itself may quote rows.
var words = map[string]string{
	"40001": "another transaction was in the way", "40P01": "it ended a deadlock",
	"28000": "the role may not log in", "28P01": "the password is wrong", "3D000": "there is no such database",
	"3F000": "there is no such schema", "42501": "permission is missing", "42703": "a column is missing",
	"42883": "a function is missing", "42P01": "a table is missing", "53300": "it has too many connections",
	"55000": "it takes no connections at present", "55P03": "a lock was not to be had in time", "57014": "the query was cancelled", "57P01": "it is shutting down",
	"57P02": "it has crashed", "57P03": "it is starting up",
}

// passing are the SQLSTATEs of what passes by itself.
var passing = []string{"40001", "40P01", "53300", "55000", "55P03", "57014", "57P01", "57P02", "57P03"}

var (
	errReplica  = errors.New("the server is a replica, not the primary")
	errHidden   = errors.New("row-level security may hide accounts: let the role bypass it (alter role ... bypassrls), or own the table")
	errAltered  = errors.New("the table of accounts has been altered")
	errNoColumn = errors.New("the table of accounts is not there as it is named")
	errTriggers = errors.New("the triggers are gone")
	errOdd      = errors.New("the answer does not fit the question")
)

// ours are errors that need no description.
var ours = []error{errReplica, errHidden, errAltered, errNoColumn, errTriggers, errOdd}

// plain is an error that can be shown: it quotes neither the connection string nor a row. It goes on
// being what the cause is for errors.Is and errors.As.
type plain struct {
	text  string
	cause error
	// isAway: the database may answer later.
	isAway bool
}

func (p plain) Error() string        { return p.text }
func (p plain) Unwrap() error        { return p.cause }
func (p plain) Is(target error) bool { return p.isAway && target == directory.ErrUnavailable }

// describe makes an error of pgx fit to be shown.
func describe(err error) error {
	var pg *pgconn.PgError
	var dial *net.OpError
	var described plain
	isOurs := func(known error) bool { return errors.Is(err, known) }
	switch {
	case err == nil || errors.As(err, &described) || slices.ContainsFunc(ours, isOurs):
		return err
	case errors.As(err, &pg):
		return plain{describeState(pg), err, slices.Contains(passing, pg.Code)}
	case errors.Is(err, context.DeadlineExceeded):
		return plain{"PostgreSQL does not answer in time", err, true}
	case errors.As(err, &dial):
		return plain{fmt.Sprintf("PostgreSQL cannot be reached: %s: %v", dial.Op, dial.Err), err, true}
	case errors.Is(err, context.Canceled):
		return plain{"the question was cancelled", err, false}
	}
	return plain{fmt.Sprintf("PostgreSQL does not answer: %v", innermost(err)), err, true}
}

func describeState(pg *pgconn.PgError) string {
	if pg.Code == guardFailed {
		return pg.Message
	}
	if known, ok := words[pg.Code]; ok {
		return fmt.Sprintf("PostgreSQL says that %s (SQLSTATE %s)", known, pg.Code)
	}
	return fmt.Sprintf("PostgreSQL refuses (SQLSTATE %s)", pg.Code)
}

// innermost leaves out what pgx adds around a cause: whom it connected as, and where.
func innermost(err error) error {
	for {
		if many, ok := err.(interface{ Unwrap() []error }); ok && len(many.Unwrap()) > 0 {
			err = many.Unwrap()[0]
		} else if inner := errors.Unwrap(err); inner != nil {
			err = inner
		} else {
			return err
		}
	}
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", directory.ErrUnavailable, err) }

// code is the SQLSTATE of an error, or empty.
func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// isAboutNames tells whether a query does not fit the table, columns or types that are there.
func isAboutNames(err error) bool { return strings.HasPrefix(code(err), "42") }
