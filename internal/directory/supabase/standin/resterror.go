package standin

import (
	"errors"
	"net/http"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// restError is an error in PostgREST's shape.
type restError struct {
	status  int
	Code    string  `json:"code"`
	Details *string `json:"details"`
	Hint    *string `json:"hint"`
	Message string  `json:"message"`
}

func (e *restError) Error() string { return e.Code + ": " + e.Message }

// pgrst is an error of PostgREST itself; empty details are null.
func pgrst(status int, code, message, details string) *restError {
	return &restError{status: status, Code: code, Message: message, Details: orNull(details)}
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

var noConnection = pgrst(http.StatusServiceUnavailable, "PGRST001", "Database client error. Retrying the connection.", "")

// writeError writes an error. PostgreSQL's details go out as they are, with the values they name.
func writeError(w http.ResponseWriter, err error) {
	var e *restError
	if !errors.As(err, &e) {
		e = noConnection
	}
	w.Header().Set("Proxy-Status", "PostgREST; error="+e.Code)
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	writeJSON(w, e.status, e)
}

// fromPostgres gives PostgreSQL's error PostgREST's status. Whoever came with no token of a role is
// told to authenticate instead of that it is forbidden.
func fromPostgres(err error, role string) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	e := &restError{Code: pg.Code, Message: pg.Message, Details: orNull(pg.Detail), Hint: orNull(pg.Hint)}
	e.status = statusOf(pg)
	if pg.Code == "42501" && role == Anon {
		e.status = http.StatusUnauthorized
	}
	return e
}

// statuses maps the beginnings of SQLSTATEs, the longest first.
var statuses = []struct {
	prefix string
	status int
}{
	{"23503", 409}, {"23505", 409}, {"25006", 405}, {"21000", 500}, {"53400", 500}, {"57P01", 503}, {"P0001", 400},
	{"42883", 404}, {"42P01", 404}, {"42P17", 500}, {"42501", 403},
	{"08", 503}, {"09", 500}, {"0L", 403}, {"0P", 403}, {"25", 500}, {"28", 403}, {"2D", 500}, {"38", 500}, {"39", 500},
	{"3B", 500}, {"40", 500}, {"53", 503}, {"54", 500}, {"55", 500}, {"57", 500}, {"58", 500}, {"F0", 500}, {"HV", 500},
	{"P0", 500}, {"XX", 500},
}

func statusOf(pg *pgconn.PgError) int {
	if pg.Code == "22023" && strings.HasPrefix(pg.Message, "role") {
		return http.StatusUnauthorized
	}
	for _, s := range statuses {
		if strings.HasPrefix(pg.Code, s.prefix) {
			return s.status
		}
	}
	return http.StatusBadRequest
}
