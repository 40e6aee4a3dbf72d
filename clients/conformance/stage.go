package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fleetline/fleetline/wire"
)

// stage is where one case is played: a gateway, the programs that were started, and their folder.
// It belongs to the goroutine of the script.
type stage struct {
	ctx     context.Context
	suite   *suite
	gateway *gateway
	dir     string // FLEETLINE_STATE_DIR
	key     string // the API key that the next program gets

	gateways []*gateway
	programs []*program
	secrets  []string // never to be seen outside the first frame
	wrong    string
}

const (
	machineID = "mch_conformance"
	epoch     = "e1"
)

func newStage(ctx context.Context, s *suite, dir string) *stage {
	st := &stage{ctx: ctx, suite: s, dir: dir}
	st.newKey()
	return st
}

// newKey is for a program that is to be started with another key.
func (st *stage) newKey() { st.key = st.secret("flk_") }

func (st *stage) secret(prefix string) string {
	s := prefix + rand.Text()
	st.secrets = append(st.secrets, s)
	return s
}

func (st *stage) check(good bool, format string, args ...any) {
	if !good {
		st.fail(fmt.Sprintf(format, args...))
	}
}

// door opens the stage's own gateway, at the first use.
func (st *stage) door() *gateway {
	if st.gateway == nil {
		st.gateway = st.open()
	}
	return st.gateway
}

func (st *stage) open() *gateway {
	g, err := listen(st)
	st.check(err == nil, "the judge cannot listen: %v", err)
	st.gateways = append(st.gateways, g)
	return g
}

// start runs the program against the stage's gateway.
func (st *stage) start() *program { return st.startAt(st.door().url(), st.dir) }

func (st *stage) startAt(url, dir string) *program {
	p, err := startProgram(st, url, dir)
	st.check(err == nil, "the program does not start: %v", err)
	st.programs = append(st.programs, p)
	return p
}

// dial waits for the next request at the gateway.
func (st *stage) dial() *call { return st.dialWithin(st.suite.patience) }

func (st *stage) dialWithin(d time.Duration) *call {
	c := st.door().next(d)
	st.check(c != nil, "the program did not connect within %v", d)
	st.door().checkRequest(c)
	return c
}

// auth waits for the next connection and its first frame.
func (st *stage) auth() *line {
	l := st.dial().upgrade()
	l.hearAuth()
	return l
}

// letIn waits for the next connection and lets the machine in. Fields of w that are zero are filled.
func (st *stage) letIn(w wire.Welcome) *line {
	l := st.auth()
	l.welcome(w)
	return l
}

func (st *stage) success(w wire.Welcome) wire.AuthSuccess {
	w.MachineID = cmp.Or(w.MachineID, machineID)
	w.SessionID = cmp.Or(w.SessionID, "ses_conformance")
	w.HeartbeatSeconds = cmp.Or(w.HeartbeatSeconds, 30)
	w.Epoch = cmp.Or(w.Epoch, epoch)
	if w.ExpiresAt.IsZero() {
		w.ExpiresAt = time.Now().Add(15 * time.Minute).UTC()
	}
	return wire.AuthSuccess{SessionToken: st.secret("tok_"), Message: wire.TextAuthenticated, Welcome: &w}
}

// nobodyDials says that no request has come that the script has not taken.
func (st *stage) nobodyDials(when string) {
	select {
	case <-st.door().calls:
		st.fail("the program connected " + when)
	default:
	}
}

// pause is for what cannot be seen: that something does not happen.
func (st *stage) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-st.ctx.Done():
		st.fail("the judge was interrupted")
	}
}

// stored is all that lies in the state folder.
func (st *stage) stored() map[string]string {
	files := map[string]string{}
	err := filepath.WalkDir(st.dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(name)
		files[name] = string(content)
		return err
	})
	st.check(err == nil, "reading the state folder: %v", err)
	return files
}

// strike clears the stage and has a last look at what was said.
func (st *stage) strike() {
	for _, p := range st.programs {
		p.end()
	}
	for _, g := range st.gateways {
		g.close()
	}
	for _, p := range st.programs {
		if st.wrong == "" && p.problem != "" {
			st.wrong = p.problem
		}
		for _, secret := range st.secrets {
			if st.wrong == "" && strings.Contains(p.spoken(), secret) {
				st.wrong = "a key or a token was printed"
			}
		}
	}
}

// said is the end of what the programs complained of, without secrets.
func (st *stage) said() string {
	var all strings.Builder
	for _, p := range st.programs {
		all.WriteString(p.stderr.String())
	}
	text := all.String()
	for _, secret := range st.secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	const most = 2000
	return text[max(0, len(text)-most):]
}
