package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/feed"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// proveEvery is how often the path is proved again.
	proveEvery = 10 * time.Second
	// echo is how long a NOTIFY to ourselves may take.
	echo = 5 * time.Second
	// steady is how long changes must have flowed for the next failure to count as the first.
	steady = 10 * time.Second
	// refusedPause is the wait before triggers are tried again that may not be installed.
	refusedPause = time.Minute
)

var (
	errDeaf       = errors.New("nothing that is notified arrives: the connection goes through a transaction pooler or is broken; use the direct address, or the session pooler (port 5432)")
	errNoTriggers = errors.New("the triggers are missing and may not be installed: have the table's owner run the SQL that fleetline doctor prints")
	errCompareAll = errors.New("everything is compared, because the table was truncated or an id is too long to be told")
	errNoWord     = errors.New("the database has not been listened to yet")
)

// listener hears of changes over a connection of its own, and tells the feeds.
type listener struct {
	// Fixed after construction.
	db       *database
	accounts *feed.Feed
	machines *feed.Feed

	settleOnce sync.Once
	settled    chan struct{} // closed when it is first known whether changes flow
}

func newListener(db *database) *listener {
	return &listener{db: db, accounts: feed.New(unavailable(errNoWord)), machines: feed.New(unavailable(errNoWord)), settled: make(chan struct{})}
}

// waitSettled returns when changes flow, or it is known why not.
func (l *listener) waitSettled(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-l.settled:
	case <-ctx.Done():
	}
}

// run listens until ctx ends, connecting again whenever something is wrong with the connection.
func (l *listener) run(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; failures++ {
		since := time.Now()
		err := l.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		l.lose(err)
		if time.Since(since) > steady {
			failures = 0
		}
		pause := backoff(failures)
		if errors.Is(err, errNoTriggers) {
			pause = refusedPause
		}
		select {
		case <-time.After(pause/2 + mathrand.N(pause)):
		case <-ctx.Done():
		}
	}
}

// backoff is how long to wait after so many failures in a row.
func backoff(failures int) time.Duration {
	return min(100*time.Millisecond<<min(failures, 10), 10*time.Second)
}

// lose tells that changes do not flow, once for each reason.
func (l *listener) lose(err error) {
	defer l.settleOnce.Do(func() { close(l.settled) })
	state := l.accounts.State()
	if state.Kind == directory.Lost && state.Err.Error() == err.Error() {
		return
	}
	l.push(directory.Event{Kind: directory.Lost, Err: err})
}

func (l *listener) push(e directory.Event) {
	l.accounts.Push(e)
	l.machines.Push(e)
}

// listen hears of changes until something is wrong. The order leaves no gap: what happens after
// LISTEN is heard, what happened before is found by the compare that Live asks for.
func (l *listener) listen(ctx context.Context) error {
	conn, channel, err := l.connect(ctx)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	ear := &ear{l: l, conn: conn, channel: channel}
	if err := ear.prove(ctx); err != nil {
		return err
	}
	for ear.nonce != "" { // what is heard before the proof is compared anyway
		if err := ear.hear(ctx, func(string) {}); err != nil {
			return err
		}
	}
	l.push(directory.Event{Kind: directory.Live})
	l.settleOnce.Do(func() { close(l.settled) })
	for {
		if err := ear.hear(ctx, l.tell); err != nil {
			return err
		}
	}
}

// connect makes the connection that listens, and sees to the triggers.
func (l *listener) connect(ctx context.Context) (*pgx.Conn, string, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout+callTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, l.db.pool.Config().ConnConfig)
	if err != nil {
		return nil, "", fmt.Errorf("listening: %w", describe(err))
	}
	channel, err := l.prepare(ctx, conn)
	if err == nil {
		_, err = conn.Exec(ctx, "listen "+channel)
	}
	if err != nil {
		_ = conn.Close(ctx)
		if errors.Is(err, errNoTriggers) {
			return nil, "", err
		}
		return nil, "", fmt.Errorf("listening: %w", describe(err))
	}
	return conn, channel, nil
}

// prepare reads the table anew and installs the triggers where they are missing.
func (l *listener) prepare(ctx context.Context, conn *pgx.Conn) (channel string, err error) {
	if err := l.db.readTable(ctx, conn); err != nil {
		return "", err
	}
	var isReady bool
	for range 2 {
		if err := conn.QueryRow(ctx, l.db.names.FeedState()).Scan(&channel, &isReady); err != nil || isReady {
			return channel, err
		}
		if err := l.install(ctx, conn); err != nil {
			return "", err
		}
	}
	return "", errTriggers
}

func (l *listener) install(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.PgConn().Exec(ctx, l.db.names.Feed()).ReadAll()
	if err == nil {
		return nil
	}
	_, _ = conn.Exec(ctx, "rollback")
	switch code(err) {
	case "42501", "42809", "25006": // no permission, a view, read only
		return fmt.Errorf("%w (%w)", errNoTriggers, describe(err))
	}
	return err
}

// ear is one connection that listens.
type ear struct {
	l       *listener
	conn    *pgx.Conn
	channel string
	nonce   string // notified to ourselves and not heard yet
	// due is when the nonce must have been heard or, without one, the next is sent.
	due time.Time
}

// hear takes in one message, or proves the path when that is due. What others send is no proof: it
// does not show that our own triggers are there.
func (e *ear) hear(ctx context.Context, tell func(string)) error {
	waiting, cancel := context.WithDeadline(ctx, e.due)
	defer cancel()
	n, err := e.conn.WaitForNotification(waiting)
	switch {
	case err == nil && n.Channel == e.channel:
		e.take(n, tell)
		return nil
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case waiting.Err() == nil || e.conn.IsClosed():
		return fmt.Errorf("the connection that listens was lost: %w", describe(err))
	case e.nonce != "":
		return errDeaf
	}
	return e.prove(ctx)
}

func (e *ear) take(n *pgconn.Notification, tell func(string)) {
	if n.Payload == e.nonce {
		e.nonce, e.due = "", time.Now().Add(proveEvery)
		return
	}
	if e.nonce != "" {
		e.due = time.Now().Add(echo) // much is on its way, and what we wait for is behind it
	}
	tell(n.Payload)
}

// prove sends a NOTIFY to ourselves, over another connection: through a pooler, one over the same
// might be heard where no other is. It also sees that the triggers are there and the server is the
// primary.
func (e *ear) prove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, echo)
	defer cancel()
	e.nonce, e.due = "N:"+rand.Text(), time.Now().Add(echo)
	sql := "select f.*, pg_is_in_recovery(), pg_notify($1::text, $2::text)::text from (" + e.l.db.names.FeedState() + ") f (channel, is_ready)"
	var channel string
	var isReady, isReplica bool
	var nothing *string
	if err := e.l.db.pool.QueryRow(ctx, sql, e.channel, e.nonce).Scan(&channel, &isReady, &isReplica, &nothing); err != nil {
		return fmt.Errorf("listening: %w", describe(err))
	}
	switch {
	case isReplica:
		return fmt.Errorf("listening: %w", errReplica)
	case !isReady || channel != e.channel:
		return fmt.Errorf("listening: %w", errTriggers)
	}
	return nil
}

// tell makes events of what a trigger says.
func (l *listener) tell(message string) {
	if len(message) < 2 || message[1] != ':' {
		l.push(directory.Event{Kind: directory.Lost, Err: unavailable(errCompareAll)})
		l.push(directory.Event{Kind: directory.Live})
		return
	}
	id := message[2:]
	switch message[0] {
	case 'D':
		l.accounts.Push(directory.Event{Kind: directory.Gone, ID: id})
	case 'C':
		l.accounts.Push(directory.Event{Kind: directory.Changed, ID: id})
	case 'M', 'A':
		l.machines.Push(directory.Event{Kind: directory.Gone, ID: id, Asked: message[0] == 'A'})
	case 'R':
		l.machines.Push(directory.Event{Kind: directory.Changed, ID: id})
	}
}
