package admin

import (
	"context"
	"net/http"

	"github.com/fleetline/fleetline/api"
)

const deletionsPath = "/v1/deletions"

// Deletions is what the door needs of the gateway: the deletions it holds.
type Deletions struct {
	// List is everything that is held.
	List func() []api.HeldDeletion
	// Confirm says that those which choose picks are meant, and counts what became of them.
	Confirm func(ctx context.Context, choose func(id string) bool) api.ConfirmedDeletions
}

func (a *Admin) deletionRoutes(d *document) {
	register(a, d, route{
		id: "list-deletions", method: http.MethodGet, path: deletionsPath, status: http.StatusOK,
		summary: "List the deletions that are held: they look like a mistake, or are not proved.",
	}, a.listDeletions)
	describeBody[api.ConfirmDeletions](d, register(a, d, route{
		id: "confirm-deletions", method: http.MethodPost, path: deletionsPath + "/confirm", status: http.StatusOK,
		summary: "Say that held deletions are meant: whoever they concern is told so and refused for ever.",
	}, a.confirmDeletions), true)
}

func (a *Admin) listDeletions(context.Context, *nothing) (*answer[api.HeldDeletions], error) {
	return &answer[api.HeldDeletions]{api.HeldDeletions{Held: a.cfg.Deletions.List()}}, nil
}

func (a *Admin) confirmDeletions(ctx context.Context, in *body) (*answer[api.ConfirmedDeletions], error) {
	o := readBody(in.RawBody)
	which := api.ConfirmDeletions{ID: o.plain("id", maxID), All: o.flag("all")}
	if o.err == nil && (which.ID != "") == which.All {
		o.fail(api.CodeInvalidRequest, "the body must have exactly one of id and all")
	}
	if err := o.end(); err != nil {
		return nil, err
	}
	done := a.cfg.Deletions.Confirm(ctx, func(id string) bool { return which.All || id == which.ID })
	if !which.All && done == (api.ConfirmedDeletions{}) {
		return nil, api.NewError(api.CodeDeletionNotHeld, "no deletion of this id is held")
	}
	what := which.ID
	if which.All {
		what = "all"
	}
	a.changed(ctx, "confirm-deletions", what)
	return &answer[api.ConfirmedDeletions]{done}, nil
}
