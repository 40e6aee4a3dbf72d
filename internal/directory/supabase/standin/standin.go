package standin

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	defaultMaxRows          = 1000
	defaultStatementTimeout = 8 * time.Second
	defaultPublicationCheck = time.Minute
	// poolWait is how long a request waits for a connection before PostgREST gives up on it.
	poolWait = 10 * time.Second
	// poolSize is that of the platform's small projects.
	poolSize = 15
	// loggedURLs bounds what URLs remembers.
	loggedURLs = 10_000
)

// Config is a project. The zero value of a field is what the platform does.
type Config struct {
	// MaxRows cuts answers; 0: 1000.
	MaxRows int
	// StatementTimeout ends queries; 0: 8 s.
	StatementTimeout time.Duration
	// Schemas are what REST exposes; none: public.
	Schemas []string
	// PublicationCheck is how often Realtime looks whether the publication has other tables than
	// before; 0: one minute.
	PublicationCheck time.Duration
}

// Project is a running project.
type Project struct {
	// URL is what SUPABASE_URL would be.
	URL string

	*keyring
	*trouble

	// Fixed after construction.
	config      Config
	address     string
	pool        *pgxpool.Pool
	postgrest   *postgrest
	realtime    *realtime
	hasRealtime bool            // the database has logical decoding
	ctx         context.Context // ends with the project
	cancel      context.CancelFunc

	mu       sync.Mutex
	service  *service // nil during an outage
	requests map[string]int
	urls     []string
}

// Start starts a project on an empty or filled database, named by a superuser's URL. Realtime needs a
// server with wal_level=logical. It ends with the test.
func Start(t testing.TB, database string) *Project {
	t.Helper()
	return StartWith(t, database, Config{})
}

// StartWith starts a project that differs from the platform's usual.
func StartWith(t testing.TB, database string, config Config) *Project {
	t.Helper()
	if config.MaxRows == 0 {
		config.MaxRows = defaultMaxRows
	}
	if config.StatementTimeout == 0 {
		config.StatementTimeout = defaultStatementTimeout
	}
	if config.PublicationCheck == 0 {
		config.PublicationCheck = defaultPublicationCheck
	}
	if len(config.Schemas) == 0 {
		config.Schemas = []string{"public"}
	}
	p := &Project{keyring: &keyring{}, trouble: &trouble{}, config: config, requests: map[string]int{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if err := p.open(database); err != nil {
		p.close()
		t.Fatalf("starting a stand-in for Supabase: %v", err)
	}
	t.Cleanup(p.close)
	return p
}

func (p *Project) open(database string) error {
	config, err := pgxpool.ParseConfig(database)
	if err != nil {
		return err
	}
	config.MaxConns = poolSize
	if p.pool, err = pgxpool.NewWithConfig(p.ctx, config); err != nil {
		return err
	}
	if _, err := p.pool.Exec(p.ctx, setup); err != nil {
		return err
	}
	var level string
	if err := p.pool.QueryRow(p.ctx, "show wal_level").Scan(&level); err != nil {
		return err
	}
	p.hasRealtime = level == "logical"
	p.postgrest = &postgrest{ctx: p.ctx, config: p.config, pool: p.pool, keys: p.keyring}
	p.realtime = newRealtime(p, config.ConnConfig)
	p.RotateKeys()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.address = listener.Addr().String()
	p.URL = "http://" + p.address
	p.serve(listener)
	return nil
}

// setup makes what every project's database has. Roles belong to the whole server, so another
// project may be making them at this moment.
const setup = `
do $$
declare
	r text;
begin
	foreach r in array array['anon', 'authenticated', 'service_role bypassrls'] loop
		begin
			execute 'create role ' || r;
		exception when duplicate_object or unique_violation then
		end;
	end loop;
	if not exists (select from pg_publication where pubname = 'supabase_realtime') then
		create publication supabase_realtime;
	end if;
end $$;
grant usage on schema public to anon, authenticated, service_role;
grant all on all tables in schema public to anon, authenticated, service_role;
grant all on all sequences in schema public to anon, authenticated, service_role;
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
`

// service is the time from one start of the listener to the next outage.
type service struct {
	server   *http.Server
	ctx      context.Context // of all its requests
	cancel   context.CancelFunc
	handlers sync.WaitGroup
	done     chan struct{}
}

func (p *Project) serve(listener net.Listener) {
	s := &service{done: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(p.ctx)
	s.server = &http.Server{
		Handler:           p,
		ReadHeaderTimeout: time.Minute,
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
	}
	p.mu.Lock()
	p.service = s
	p.mu.Unlock()
	go func() { // ends when stop closes the server
		defer close(s.done)
		_ = s.server.Serve(listener)
	}()
}

// enter lets a request in, unless it came too late.
func (p *Project) enter() *service {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.service != nil {
		p.service.handlers.Add(1)
	}
	return p.service
}

// stop refuses connections and cuts those there are.
func (p *Project) stop() {
	p.mu.Lock()
	s := p.service
	p.service = nil
	p.mu.Unlock()
	if s == nil {
		return
	}
	s.cancel()
	_ = s.server.Close()
	<-s.done
	s.handlers.Wait()
}

func (p *Project) close() {
	p.cancel() // first, so that no query is waited for
	p.stop()
	if p.realtime != nil {
		p.realtime.close()
	}
	if p.pool != nil {
		p.pool.Close()
	}
}

// Requests counts what reached the gateway since the start: all whose method and path, such as
// "GET /rest/v1/user" or "POST /rest/v1/rpc/", begin with prefix.
func (p *Project) Requests(prefix string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := 0
	for kind, n := range p.requests {
		if strings.HasPrefix(kind, prefix) {
			sum += n
		}
	}
	return sum
}

// URLs are those of the last requests, as a project's API log shows them to its owner.
func (p *Project) URLs() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.urls...)
}

func (p *Project) count(r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests[r.Method+" "+r.URL.Path]++
	if len(p.urls) == loggedURLs {
		p.urls = append([]string(nil), p.urls[loggedURLs/2:]...)
	}
	p.urls = append(p.urls, r.RequestURI)
}
