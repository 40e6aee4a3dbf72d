package api

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// AddAccount makes an account. The answer holds its key, which is shown this once.
func (c *Client) AddAccount(ctx context.Context, name string) (AccountKey, error) {
	var k AccountKey
	err := c.call(ctx, http.MethodPost, "/v1/accounts", NewAccount{Name: name}, &k)
	return k, err
}

// Accounts lists every account, in order of id.
func (c *Client) Accounts(ctx context.Context) ([]Account, error) {
	var l AccountList
	err := c.call(ctx, http.MethodGet, "/v1/accounts", nil, &l)
	return l.Accounts, err
}

// DeleteAccount deletes an account and every machine it has.
func (c *Client) DeleteAccount(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/accounts/"+url.PathEscape(id), nil, nil)
}

// RotateKey gives an account a new key, shown this once. The old one goes on working for grace,
// in whole seconds.
func (c *Client) RotateKey(ctx context.Context, id string, grace time.Duration) (AccountKey, error) {
	var k AccountKey
	in := RotateKey{GraceSeconds: int64(grace / time.Second)}
	err := c.call(ctx, http.MethodPost, "/v1/accounts/"+url.PathEscape(id)+"/rotate-key", in, &k)
	return k, err
}

// AddToken makes a token. The answer holds its secret, which is shown this once.
func (c *Client) AddToken(ctx context.Context, t NewToken) (TokenKey, error) {
	var k TokenKey
	err := c.call(ctx, http.MethodPost, "/v1/tokens", t, &k)
	return k, err
}

// Tokens lists the tokens, the oldest first.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	var l TokenList
	err := c.call(ctx, http.MethodGet, "/v1/tokens", nil, &l)
	return l.Tokens, err
}

// DeleteToken deletes the token of this id or name: from now on it opens nothing.
func (c *Client) DeleteToken(ctx context.Context, idOrName string) error {
	return c.call(ctx, http.MethodDelete, "/v1/tokens/"+url.PathEscape(idOrName), nil, nil)
}

// MachinePage reads one page of machines.
func (c *Client) MachinePage(ctx context.Context, q MachineQuery) (MachinePage, error) {
	v := url.Values{}
	for name, value := range map[string]string{"online": string(q.Presence), "account": q.Account, "q": q.Search, "cursor": q.Cursor} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	var p MachinePage
	err := c.call(ctx, http.MethodGet, withQuery("/v1/machines", v), nil, &p)
	return p, err
}

// Machines reads page after page. It ends after the last machine or the first error.
func (c *Client) Machines(ctx context.Context, q MachineQuery) iter.Seq2[Machine, error] {
	return func(yield func(Machine, error) bool) {
		for {
			page, err := c.MachinePage(ctx, q)
			if err != nil {
				yield(Machine{}, err)
				return
			}
			for _, m := range page.Machines {
				if !yield(m, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			q.Cursor = page.Next
		}
	}
}

// Machine reads one machine.
func (c *Client) Machine(ctx context.Context, id string) (Machine, error) {
	var m Machine
	err := c.call(ctx, http.MethodGet, "/v1/machines/"+url.PathEscape(id), nil, &m)
	return m, err
}

// Why says how a machine stands, also one that was deleted.
func (c *Client) Why(ctx context.Context, id string) (Why, error) {
	var w Why
	err := c.call(ctx, http.MethodGet, "/v1/machines/"+url.PathEscape(id)+"/why", nil, &w)
	return w, err
}

// DeleteMachine deletes a machine for good and ends its sessions. Deleting it again is no error.
func (c *Client) DeleteMachine(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/machines/"+url.PathEscape(id), nil, nil)
}

// ReadmitMachine takes a machine's deletion back.
func (c *Client) ReadmitMachine(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/v1/machines/"+url.PathEscape(id)+"/readmit", nil, nil)
}

// Publish hands over one message. When it returns, a stored message is stored.
func (c *Client) Publish(ctx context.Context, m Message) (Receipt, error) {
	var r Receipt
	err := c.call(ctx, http.MethodPost, "/v1/messages", m, &r)
	return r, err
}

// History reads up to limit of the messages kept for one machine after position after; limit 0 is
// DefaultPage.
func (c *Client) History(ctx context.Context, machineID string, after uint64, limit int) (History, error) {
	v := url.Values{}
	if after != 0 {
		v.Set("after", strconv.FormatUint(after, 10))
	}
	if limit != 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	var h History
	err := c.call(ctx, http.MethodGet, withQuery("/v1/machines/"+url.PathEscape(machineID)+"/messages", v), nil, &h)
	return h, err
}

// HeldDeletions lists the deletions that wait for proof or for an operator's word.
func (c *Client) HeldDeletions(ctx context.Context) ([]HeldDeletion, error) {
	var h HeldDeletions
	err := c.call(ctx, http.MethodGet, "/v1/deletions", nil, &h)
	return h.Held, err
}

// ConfirmDeletions says that held deletions are meant.
func (c *Client) ConfirmDeletions(ctx context.Context, which ConfirmDeletions) (ConfirmedDeletions, error) {
	var done ConfirmedDeletions
	err := c.call(ctx, http.MethodPost, "/v1/deletions/confirm", which, &done)
	return done, err
}

// BackupType is the media type of a backup.
const BackupType = "application/x-tar"

// Backup writes a backup of everything that the gateway keeps, its secrets included. Without an error
// it is whole.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	resp, err := c.get(ctx, "/v1/backup", func(http.Header) {})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := isType(resp, BackupType); err != nil {
		return err
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("reading the backup: %w", err)
	}
	return nil
}

// Ready asks whether the gateway serves, and how it notices deletions; the error says why it does
// not.
func (c *Client) Ready(ctx context.Context) (Readiness, error) {
	var r Readiness
	err := c.call(ctx, http.MethodGet, "/readyz", nil, &r)
	return r, err
}

func withQuery(path string, v url.Values) string {
	if len(v) == 0 {
		return path
	}
	return path + "?" + v.Encode()
}
