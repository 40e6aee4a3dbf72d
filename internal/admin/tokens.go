package admin

import (
	"context"
	"net/http"
	"slices"

	"github.com/fleetline/fleetline/api"
)

const tokensPath = "/v1/tokens"

type byToken struct {
	ID string `path:"id" doc:"The token's id or its name."`
}

func (a *Admin) tokenRoutes(d *document) {
	describeBody[api.NewToken](d, register(a, d, route{
		id: "add-token", method: http.MethodPost, path: tokensPath, status: http.StatusCreated,
		summary: "Make a token of some scopes; it is shown in this answer and never again.",
	}, a.addToken), true)
	register(a, d, route{
		id: "list-tokens", method: http.MethodGet, path: tokensPath, status: http.StatusOK,
		summary: "List the tokens, the oldest first.",
	}, a.listTokens)
	register(a, d, route{
		id: "delete-token", method: http.MethodDelete, path: tokensPath + "/{id}", status: http.StatusNoContent,
		summary: "Delete a token: from now on it opens nothing.",
	}, a.deleteToken)
}

func (a *Admin) addToken(ctx context.Context, in *body) (*answer[api.TokenKey], error) {
	o := readBody(in.RawBody)
	n := api.NewToken{Name: o.plain("name", api.MaxName)}
	for _, s := range o.words("scopes") {
		n.Scopes = append(n.Scopes, api.Scope(s))
	}
	if o.err == nil && !areScopes(n.Scopes) {
		o.fail(api.CodeInvalidRequest, "scopes must be one or more of publish, read and admin, each once")
	}
	if err := o.end(); err != nil {
		return nil, err
	}
	made, err := a.tokens.add(ctx, n)
	if err != nil {
		return nil, err
	}
	a.changed(ctx, "add-token", made.ID)
	return &answer[api.TokenKey]{made}, nil
}

func areScopes(scopes []api.Scope) bool {
	known := []api.Scope{api.ScopePublish, api.ScopeRead, api.ScopeAdmin}
	for i, s := range scopes {
		if !slices.Contains(known, s) || slices.Contains(scopes[:i], s) {
			return false
		}
	}
	return len(scopes) > 0
}

func (a *Admin) listTokens(ctx context.Context, _ *nothing) (*answer[api.TokenList], error) {
	all, err := a.tokens.list(ctx)
	if err != nil {
		return nil, err
	}
	list := api.TokenList{Tokens: make([]api.Token, 0, len(all))}
	for _, t := range all {
		list.Tokens = append(list.Tokens, t.Token)
	}
	return &answer[api.TokenList]{list}, nil
}

func (a *Admin) deleteToken(ctx context.Context, in *byToken) (*nothing, error) {
	id, err := a.tokens.remove(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	a.changed(ctx, "delete-token", id)
	return nil, nil
}
