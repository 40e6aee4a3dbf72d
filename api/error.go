package api

import (
	"fmt"
	"net/http"
)

// ProblemType is the media type of an Error's body (RFC 9457).
const ProblemType = "application/problem+json"

// Error is a refused call, and the body that says so: a problem document of RFC 9457 with a stable
// code and a hint on top.
type Error struct {
	Title  string `json:"title" doc:"The status in words."`
	Status int    `json:"status" doc:"The HTTP status." example:"404"`
	Detail string `json:"detail" doc:"What was wrong, in a sentence."`
	Code   Code   `json:"code" doc:"What was wrong, as a stable word for programs." example:"machine_not_found"`
	Hint   string `json:"hint" doc:"What to do next."`
	// Reasons says why the gateway is not ready; it is empty in every other case.
	Reasons []string `json:"reasons,omitempty" doc:"Why the gateway is not ready."`
}

// NewError is the Error of a code, with the status and the hint that belong to it.
func NewError(code Code, detail string) *Error {
	return &Error{
		Title:  http.StatusText(code.Status()),
		Status: code.Status(),
		Detail: detail,
		Code:   code,
		Hint:   code.Hint(),
	}
}

// Error is a sentence for people: what was wrong and what to do.
func (e *Error) Error() string {
	switch {
	case e.Detail == "":
		return string(e.Code)
	case e.Hint == "":
		return fmt.Sprintf("%s (%s)", e.Detail, e.Code)
	}
	return fmt.Sprintf("%s (%s). %s", e.Detail, e.Code, e.Hint)
}

// Is compares by code, so errors.Is(err, api.CodeStoreFull) asks what went wrong.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}
