package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/directory"
)

const accountsPath = "/v1/accounts"

type (
	byAccount struct {
		ID string `path:"id" doc:"The account's id."`
	}
	rotation struct {
		ID      string `path:"id" doc:"The account's id."`
		RawBody []byte `contentType:"application/json"`
	}
	// answer is a body of an answer; nothing is one without.
	answer[T any] struct{ Body T }
	nothing       struct{}
)

func (a *Admin) accountRoutes(d *document) {
	describeBody[api.NewAccount](d, register(a, d, route{
		id: "add-account", method: http.MethodPost, path: accountsPath, status: http.StatusCreated,
		summary: "Make an account; its key is shown in this answer and never again.",
	}, a.addAccount), true)
	register(a, d, route{
		id: "list-accounts", method: http.MethodGet, path: accountsPath, status: http.StatusOK,
		summary: "List the accounts, in order of id.",
	}, a.listAccounts)
	register(a, d, route{
		id: "delete-account", method: http.MethodDelete, path: accountsPath + "/{id}", status: http.StatusNoContent,
		summary: "Delete an account and every machine it has.",
	}, a.deleteAccount)
	describeBody[api.RotateKey](d, register(a, d, route{
		id: "rotate-key", method: http.MethodPost, path: accountsPath + "/{id}/rotate-key", status: http.StatusOK,
		summary: "Give an account a new key, shown in this answer and never again.",
	}, a.rotateKey), false)
}

func (a *Admin) addAccount(ctx context.Context, in *body) (*answer[api.AccountKey], error) {
	o := readBody(in.RawBody)
	name := o.plain("name", api.MaxName)
	if err := o.end(); err != nil {
		return nil, err
	}
	account, key, err := a.cfg.AccountAdmin.Add(ctx, name)
	if err != nil {
		return nil, err
	}
	a.changed(ctx, "add-account", account.ID)
	return &answer[api.AccountKey]{api.AccountKey{ID: account.ID, Name: account.Name, APIKey: api.Key(key)}}, nil
}

func (a *Admin) listAccounts(ctx context.Context, _ *nothing) (*answer[api.AccountList], error) {
	accounts, err := a.cfg.AccountAdmin.ListAccounts(ctx)
	if err != nil {
		return nil, err
	}
	list := api.AccountList{Accounts: make([]api.Account, 0, len(accounts))}
	for _, acc := range accounts {
		list.Accounts = append(list.Accounts, api.Account{ID: acc.ID, Name: acc.Name, CreatedAt: acc.CreatedAt})
	}
	return &answer[api.AccountList]{list}, nil
}

func (a *Admin) deleteAccount(ctx context.Context, in *byAccount) (*nothing, error) {
	if err := a.cfg.AccountAdmin.DeleteAccount(ctx, in.ID); err != nil {
		return nil, accountProblem(err)
	}
	a.changed(ctx, "delete-account", in.ID)
	return nil, nil
}

func (a *Admin) rotateKey(ctx context.Context, in *rotation) (*answer[api.AccountKey], error) {
	grace, err := readGrace(in.RawBody)
	if err != nil {
		return nil, err
	}
	key, err := a.cfg.AccountAdmin.Rotate(ctx, in.ID, grace)
	if err != nil {
		return nil, accountProblem(err)
	}
	a.changed(ctx, "rotate-key", in.ID)
	return &answer[api.AccountKey]{api.AccountKey{ID: in.ID, APIKey: api.Key(key)}}, nil
}

// readGrace reads the body of a rotation, which may be left out.
func readGrace(raw []byte) (time.Duration, error) {
	if len(raw) == 0 {
		return 0, nil
	}
	o := readBody(raw)
	seconds := o.integer("graceSeconds", 0, api.MaxGraceSeconds)
	return time.Duration(seconds) * time.Second, o.end()
}

func accountProblem(err error) error {
	if errors.Is(err, directory.ErrNotFound) {
		return api.NewError(api.CodeAccountNotFound, "there is no such account")
	}
	return err
}
