package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fleetline/fleetline/api"
)

// tooLargeCode is the operation's metadata that names the code for a body over its limit.
const tooLargeCode = "tooLargeCode"

const (
	// maxSmallBody bounds bodies that carry no data of machines.
	maxSmallBody = 64 << 10
	// bodyTimeout bounds how long a body may take.
	bodyTimeout = 10 * time.Second
	// callTimeout bounds what the directory and the broker may take for one call.
	callTimeout = 5 * time.Second
)

// document collects the operations and their OpenAPI description, so that no route is without one.
type document struct {
	huma    huma.API
	problem *huma.Schema
}

func newDocument(h huma.API) *document {
	d := &document{huma: h, problem: schemaOf[api.Error](h)}
	var words []string
	for _, c := range api.Codes() {
		words = append(words, string(c))
	}
	slices.Sort(words)
	named := h.OpenAPI().Components.Schemas.SchemaFromRef(d.problem.Ref)
	named.Properties["code"].Description = "What was wrong, as a stable word for programs; more may come. Now: " + strings.Join(words, ", ") + "."
	return d
}

func schemaOf[T any](h huma.API) *huma.Schema {
	t := reflect.TypeFor[T]()
	return h.OpenAPI().Components.Schemas.Schema(t, true, t.Name())
}

// body is the part of an input that holds a JSON body. It is decoded by the handler, strictly, and
// not by huma, which reads twice and repeats what it does not like.
type body struct {
	RawBody []byte `contentType:"application/json"`
}

// route describes one operation.
type route struct {
	id, method, path, summary string
	status                    int // of success
	maxBody                   int64
	tooLarge                  api.Code
	middleware                huma.Middlewares
}

// operation describes the route, and notes which scope it needs.
func (a *Admin) operation(d *document, r route) huma.Operation {
	op := huma.Operation{
		OperationID: r.id, Method: r.method, Path: r.path, Summary: r.summary,
		DefaultStatus:    r.status,
		MaxBodyBytes:     r.maxBody + 1, // huma refuses the limit itself too
		BodyReadTimeout:  bodyTimeout,
		SkipValidateBody: true,
		Middlewares:      r.middleware,
		Metadata:         map[string]any{tooLargeCode: r.tooLarge},
		Responses: map[string]*huma.Response{"default": {
			Description: "Refused: the code says why and the hint what to do.",
			Content:     map[string]*huma.MediaType{api.ProblemType: {Schema: d.problem}},
		}},
	}
	if isPublic(r.path) {
		op.Security = []map[string][]string{}
		return op
	}
	needed := scopeOf(r.id)
	op.Security = []map[string][]string{{"token": {string(needed)}}}
	a.needed[r.method+" "+r.path] = needed
	return op
}

// register adds a typed operation. Every call passes here: it gets its time limit, and its error
// becomes a problem.
func register[I, O any](a *Admin, d *document, r route, handle func(context.Context, *I) (*O, error)) *huma.Operation {
	if r.maxBody == 0 {
		r.maxBody, r.tooLarge = maxSmallBody, api.CodeBodyTooLarge
	}
	huma.Register(d.huma, a.operation(d, r), func(ctx context.Context, in *I) (*O, error) {
		callOf(ctx).bodyRead()
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		out, err := handle(ctx, in)
		if err != nil {
			return nil, a.refuse(ctx, r, err)
		}
		return out, nil
	})
	return d.operation(r.method, r.path)
}

// refuse logs what stops here: every refused change, and every fault of ours. Refused reads and
// messages are counted only.
func (a *Admin) refuse(ctx context.Context, r route, err error) error {
	e := problemOf(err)
	fault := e.Code == api.CodeInternal
	if !fault && (r.method == http.MethodGet || r.path == messagesPath) {
		return refusal{e}
	}
	c := callOf(ctx)
	level, attrs := slog.LevelInfo, append(c.attrs(r.id), slog.String("code", string(e.Code)))
	if e.Status >= http.StatusInternalServerError {
		level, attrs = slog.LevelWarn, append(attrs, slog.String("cause", c.cause(err)))
	}
	a.log.LogAttrs(ctx, level, "admin call refused", attrs...)
	return refusal{e}
}

// changed logs a call that changed something. The id names something real, so it is no secret that
// somebody pasted into the wrong place.
func (a *Admin) changed(ctx context.Context, what, id string) {
	a.log.LogAttrs(ctx, slog.LevelInfo, "admin call done", append(callOf(ctx).attrs(what), slog.String("id", id))...)
}

// operation finds what was registered.
func (d *document) operation(method, path string) *huma.Operation {
	item := d.huma.OpenAPI().Paths[path]
	switch method {
	case http.MethodPost:
		return item.Post
	case http.MethodDelete:
		return item.Delete
	}
	return item.Get
}

// describeBody replaces the schema of raw bytes, which is how huma sees a body that it does not
// decode, by that of what they mean.
func describeBody[T any](d *document, op *huma.Operation, required bool) {
	op.RequestBody.Required = required
	op.RequestBody.Content["application/json"].Schema = schemaOf[T](d.huma)
}

// plain adds a route that is not typed: it answers by itself.
func (a *Admin) plain(d *document, r route, media string, h http.Handler) {
	op := a.operation(d, r)
	op.Responses["200"] = &huma.Response{
		Description: http.StatusText(http.StatusOK),
		Content:     map[string]*huma.MediaType{media: {Schema: &huma.Schema{}}},
	}
	d.huma.OpenAPI().AddOperation(&op)
	a.mux.Handle(r.method+" "+r.path, h)
}

func (d *document) finish() ([]byte, error) {
	b, err := json.Marshal(d.huma.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("writing the OpenAPI document: %w", err)
	}
	return b, nil
}
