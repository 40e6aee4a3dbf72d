package admin

import (
	"context"
	"time"

	"github.com/fleetline/fleetline/internal/broker"
	"github.com/fleetline/fleetline/internal/directory"
)

// failing is the operators' side of a directory of which every call fails with err.
type failing struct {
	directory.AccountAdmin
	err error
}

func (f failing) Add(context.Context, string) (directory.Account, directory.Key, error) {
	return directory.Account{}, "", f.err
}
func (f failing) ListAccounts(context.Context) ([]directory.Account, error) { return nil, f.err }
func (f failing) DeleteAccount(context.Context, string) error               { return f.err }
func (f failing) Rotate(context.Context, string, time.Duration) (directory.Key, error) {
	return "", f.err
}

// away is a log that answers nothing but err.
type away struct {
	Publisher
	err error
}

func (a away) Publish(context.Context, broker.Message) (broker.Receipt, error) {
	return broker.Receipt{}, a.err
}
func (a away) PublishAsync(context.Context, broker.Message) (*broker.Pending, error) {
	return nil, a.err
}
