package pgtest

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Database is an empty database of one test.
type Database struct {
	Name string
	// URL opens it as the superuser postgres.
	URL string
}

// Database makes a database. It lives as long as the server.
func (s *Server) Database(t testing.TB) *Database {
	t.Helper()
	name := "test" + strconv.FormatInt(s.databases.Add(1), 10)
	s.Exec(t, "create database "+name)
	return &Database{Name: name, URL: s.url(name)}
}

// Exec runs SQL: one statement if it has arguments, otherwise a whole script.
func (d *Database) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	d.with(t, func(ctx context.Context, c *pgx.Conn) error {
		if len(args) > 0 {
			_, err := c.Exec(ctx, sql, args...)
			return err
		}
		_, err := c.PgConn().Exec(ctx, sql).ReadAll()
		return err
	})
}

// Get runs a query for one value and scans it into a T.
func Get[T any](t testing.TB, d *Database, sql string, args ...any) (value T) {
	t.Helper()
	d.with(t, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, sql, args...).Scan(&value)
	})
	return value
}

// with connects for the time of one call. The context is not the test's, so that cleanups may call.
func (d *Database) with(t testing.TB, do func(context.Context, *pgx.Conn) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, d.URL)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if err := do(ctx, conn); err != nil {
		t.Fatal(fmt.Errorf("running SQL: %w", err))
	}
}
