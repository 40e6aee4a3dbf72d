package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/directory"
)

// problem is another name for api.Error, so that refusal can embed it and keep its method Error.
type problem = api.Error

// refusal is a problem in the form in which huma sends errors.
type refusal struct{ *problem }

// GetStatus makes refusal a huma.StatusError.
func (r refusal) GetStatus() int { return r.Status }

// ContentType makes refusal a huma.ContentTypeFilter.
func (r refusal) ContentType(string) string { return api.ProblemType }

// writeProblem refuses outside of huma's routes.
func writeProblem(w http.ResponseWriter, e *api.Error) {
	problemHeaders(e, w.Header().Set)
	w.Header().Set("Content-Type", api.ProblemType)
	w.WriteHeader(e.Status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.Encode(e) // a client that is gone needs no answer
}

// problemHeaders are those that statuses ask for (RFC 9110 11.6.1 and 10.2.3).
func problemHeaders(e *api.Error, set func(name, value string)) {
	switch e.Status {
	case http.StatusUnauthorized:
		set("WWW-Authenticate", `Bearer realm="fleetline"`)
	case http.StatusServiceUnavailable:
		set("Retry-After", "1")
	case http.StatusTooManyRequests:
		set("Retry-After", "60")
	}
}

// asProblem is the one place where an answer of huma's own becomes one of ours. It drops what the
// caller sent: huma repeats offending values, and a value may be a key.
func asProblem(ctx huma.Context, _ string, v any) (any, error) {
	switch e := v.(type) {
	case refusal:
		problemHeaders(e.problem, ctx.SetHeader)
	case *huma.ErrorModel:
		refused := fromHuma(ctx.Operation(), e)
		problemHeaders(refused, ctx.SetHeader)
		return refused, nil
	}
	return v, nil
}

func fromHuma(op *huma.Operation, m *huma.ErrorModel) *api.Error {
	switch m.Status {
	case http.StatusBadRequest:
		return api.NewError(api.CodeInvalidJSON, "the request needs a body")
	case http.StatusRequestTimeout:
		return api.NewError(api.CodeRequestTimeout, "the body did not come in time")
	case http.StatusRequestEntityTooLarge:
		code, _ := op.Metadata[tooLargeCode].(api.Code)
		return api.NewError(code, fmt.Sprintf("the body is larger than %d bytes", op.MaxBodyBytes-1))
	case http.StatusUnprocessableEntity:
		return api.NewError(api.CodeInvalidRequest, parameterProblems(m.Errors))
	}
	e := api.NewError(api.CodeInternal, "the body could not be read")
	e.Status = m.Status
	return e
}

// parameterProblems names what is wrong with path and query parameters, without their values.
func parameterProblems(details []*huma.ErrorDetail) string {
	var all []string
	for _, d := range details {
		where, name, _ := strings.Cut(d.Location, ".")
		all = append(all, fmt.Sprintf("%s parameter %s: %s", where, printable(name), d.Message))
	}
	return strings.Join(all, "; ")
}

// longestPrintable is shorter than any key or token.
const longestPrintable = 32

// printable is a name that a caller chose, if it looks like a name and not like a secret.
func printable(name string) string {
	if name == "" || len(name) > longestPrintable || strings.HasPrefix(name, "flk_") || strings.HasPrefix(name, tokenPrefix) {
		return "(not shown)"
	}
	for _, r := range name {
		if r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return "(not shown)"
		}
	}
	return name
}

// problemOf says to a caller what err means. Its cause stays here, for the log.
func problemOf(err error) *api.Error {
	var e *api.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, directory.ErrManagedElsewhere):
		return managedElsewhere(err)
	case errors.Is(err, directory.ErrFull):
		return api.NewError(api.CodeStoreFull, "the directory's store is full")
	case errors.Is(err, directory.ErrReplaced):
		return api.NewError(api.CodeMachineReplaced, "another machine has been enrolled in its place")
	case errors.Is(err, directory.ErrUnavailable):
		return api.NewError(api.CodeDirectoryUnavailable, "the directory does not answer")
	}
	if code, detail := publishProblem(err); code != "" {
		return api.NewError(code, detail)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return api.NewError(api.CodeDirectoryUnavailable, "the directory did not answer in time")
	}
	return api.NewError(api.CodeInternal, "the gateway could not serve this request")
}

// managedElsewhere passes on the hint of a driver that knows the statement to use instead.
func managedElsewhere(err error) *api.Error {
	e := api.NewError(api.CodeManagedElsewhere, "accounts are kept in a database that this gateway only reads")
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		e.Hint = hinted.Hint()
	}
	return e
}
