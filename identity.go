package fleetline

import (
	"context"
	"time"

	"github.com/fleetline/fleetline/wire"
)

// identity makes the first frame of each session: who this machine is and how it proves it. It is
// owned by the goroutine that connects.
type identity struct {
	cfg    *Config
	keeper *keeper
	inbox  *inbox
	enrol  bool // as a machine of its own, not as the account's default machine

	key     string // as last read
	token   token
	byToken bool // the session of now was opened with a token
}

// token is a session token and what it was given for.
type token struct {
	text    string
	expires time.Time
	key     string
}

// prepare reads state and key anew and tells at once when the key is the one this machine was
// deleted with, perhaps while another process held its line.
func (id *identity) prepare(ctx context.Context) error {
	key, err := id.readKey(ctx)
	if err == nil {
		id.key = key
	}
	if id.key != "" && id.keeper.get().DeletedWith == digest(id.key) {
		return &Refusal{Code: wire.CodeMachineDeleted, Message: wire.TextMachineDeleted}
	}
	return err
}

func (id *identity) readKey(ctx context.Context) (string, error) {
	if at, back := id.keeper.reload(); back {
		id.inbox.rewind(at)
	}
	return id.cfg.key(ctx, id.keeper.get().APIKey)
}

// auth is the first frame. It carries the token while one is good for the key of now, and no key
// then.
func (id *identity) auth(at Position) wire.Auth {
	state := id.keeper.get()
	a := wire.Auth{V: wire.Version, MachineID: state.MachineID}
	if id.byToken = id.hasToken(); id.byToken {
		a.SessionToken = id.token.text
	} else {
		id.token = token{}
		a.APIKey = id.key
	}
	if id.enrol {
		info := id.cfg.Machine
		info.HWID = state.HWID
		info = fillInfo(info)
		a.Machine = &info
	}
	if !at.IsZero() {
		a.LastSeq, a.Epoch = &at.Seq, at.Epoch
	}
	return a
}

func (id *identity) hasToken() bool {
	return id.token.text != "" && id.token.key == id.key && time.Now().Before(id.token.expires)
}

// adopt takes a fresh token.
func (id *identity) adopt(text string, expires time.Time) {
	if text != "" {
		id.token = token{text: text, expires: expires, key: id.key}
	}
}

// another tells whether there is something else to come with than what r refused, and prepares it:
// the key instead of a token, or the key that KeyFunc gives by now.
func (id *identity) another(ctx context.Context, r *Refusal) bool {
	refused := id.key
	if r.Code == wire.CodeBadToken || r.Code == wire.CodeBadKey {
		id.token = token{}
	}
	if r.Code != wire.CodeBadKey {
		return false
	}
	if id.byToken {
		return true
	}
	key, err := id.readKey(ctx)
	return err == nil && key != refused
}
