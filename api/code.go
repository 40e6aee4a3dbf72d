package api

import "net/http"

// Code is a stable word for programs: it says what went wrong, and never changes its meaning. It is
// an error itself, so that errors.Is(err, api.CodeMachineNotFound) works on whatever a Client
// returns.
type Code string

// Error is the code's word.
func (c Code) Error() string { return string(c) }

// Codes of requests that are wrong in themselves.
const (
	CodeInvalidJSON       Code = "invalid_json"
	CodeUnknownField      Code = "unknown_field"
	CodeInvalidRequest    Code = "invalid_request"
	CodeBodyTooLarge      Code = "body_too_large"
	CodeDataTooLarge      Code = "data_too_large"
	CodeUnsupportedMedia  Code = "unsupported_media_type"
	CodeRequestTimeout    Code = "request_timeout"
	CodeUnauthorized      Code = "unauthorized"
	CodeScopeMissing      Code = "scope_missing"
	CodeTooManyAttempts   Code = "too_many_attempts"
	CodeTooManyStreams    Code = "too_many_streams"
	CodeHostNotAllowed    Code = "host_not_allowed"
	CodeCrossOrigin       Code = "cross_origin"
	CodeNotFound          Code = "not_found"
	CodeMethodNotAllowed  Code = "method_not_allowed"
	CodeMachineNotFound   Code = "machine_not_found"
	CodeAccountNotFound   Code = "account_not_found"
	CodeTokenNotFound     Code = "token_not_found"
	CodeTokenExists       Code = "token_exists"
	CodeMachineReplaced   Code = "machine_replaced"
	CodeDeletionNotHeld   Code = "deletion_not_held"
	CodeManagedElsewhere  Code = "accounts_managed_elsewhere"
	CodeStreamInterrupted Code = "stream_interrupted"
)

// Codes of requests that may succeed later, or that the gateway could not serve.
const (
	CodeNotReady             Code = "not_ready"
	CodeDraining             Code = "draining"
	CodeDirectoryUnavailable Code = "directory_unavailable"
	CodeBrokerUnavailable    Code = "broker_unavailable"
	CodeStoreFull            Code = "store_full"
	CodeInternal             Code = "internal"
	// CodeUnexpectedAnswer is made by the client when what answered is not a gateway.
	CodeUnexpectedAnswer Code = "unexpected_answer"
)

type codeFacts struct {
	status int
	hint   string
}

// codes is the one table from code to HTTP status and default hint. It is never written to.
var codes = map[Code]codeFacts{
	CodeInvalidJSON:       {http.StatusBadRequest, "Send one JSON object in UTF-8 and nothing after it."},
	CodeUnknownField:      {http.StatusUnprocessableEntity, "Check the spelling against /openapi.json; names are case-sensitive."},
	CodeInvalidRequest:    {http.StatusUnprocessableEntity, "Check the request against /openapi.json."},
	CodeBodyTooLarge:      {http.StatusRequestEntityTooLarge, "Send a smaller body."},
	CodeDataTooLarge:      {http.StatusRequestEntityTooLarge, "A message must fit one frame of 1 MiB: split it, or send a link to the data."},
	CodeUnsupportedMedia:  {http.StatusUnsupportedMediaType, "Send the header Content-Type: application/json."},
	CodeRequestTimeout:    {http.StatusRequestTimeout, "Send the whole body without pausing."},
	CodeUnauthorized:      {http.StatusUnauthorized, "Send Authorization: Bearer with the token that `fleetline admin token` or `fleetline token add` shows."},
	CodeScopeMissing:      {http.StatusForbidden, "Use a token with the scope that is named; `fleetline token add --scope SCOPE` makes one."},
	CodeTooManyAttempts:   {http.StatusTooManyRequests, "Wait a minute, then call with a token that is valid; a valid token is never held up."},
	CodeTooManyStreams:    {http.StatusTooManyRequests, "End a stream of events that nobody needs, or let one program pass them on."},
	CodeHostNotAllowed:    {http.StatusForbidden, "Call the API by localhost or by the host name it is configured with."},
	CodeCrossOrigin:       {http.StatusForbidden, "Call the API from a program, not from a page of another site."},
	CodeNotFound:          {http.StatusNotFound, "The routes are listed in /openapi.json."},
	CodeMethodNotAllowed:  {http.StatusMethodNotAllowed, "The Allow header names the methods of this path."},
	CodeMachineNotFound:   {http.StatusNotFound, "`fleetline machine list` shows the machines there are."},
	CodeAccountNotFound:   {http.StatusNotFound, "`fleetline account list` shows the accounts there are."},
	CodeTokenNotFound:     {http.StatusNotFound, "`fleetline token list` shows the tokens there are."},
	CodeTokenExists:       {http.StatusConflict, "Choose another name, or delete the token that has it."},
	CodeMachineReplaced:   {http.StatusConflict, "Delete the machine that took its place first, or leave this one deleted."},
	CodeDeletionNotHeld:   {http.StatusNotFound, "`fleetline deletions list` shows what is held; each gateway of a cluster has its own list."},
	CodeManagedElsewhere:  {http.StatusConflict, "Accounts live in your own database: change them there."},
	CodeStreamInterrupted: {http.StatusBadRequest, "Send the lines that have no answer again, with the same ids."},

	CodeNotReady:             {http.StatusServiceUnavailable, "Wait until /readyz answers 200."},
	CodeDraining:             {http.StatusServiceUnavailable, "The gateway is stopping: send the rest to another one, or later."},
	CodeDirectoryUnavailable: {http.StatusServiceUnavailable, "Try again in a moment: doing the same twice does no harm, even if it was done the first time."},
	CodeBrokerUnavailable:    {http.StatusServiceUnavailable, "Try again in a moment with the same id: a message that was stored is not stored twice."},
	CodeStoreFull:            {http.StatusInsufficientStorage, "Wait for old messages to expire, or raise FLEETLINE_STORE_MAX_BYTES."},
	CodeInternal:             {http.StatusInternalServerError, "The gateway's log has the cause, under the id in the X-Request-Id header."},
	CodeUnexpectedAnswer:     {http.StatusBadGateway, "Check that the address is that of a gateway's operator API."},
}

// Status is the HTTP status that goes with c; 500 for a code this version does not know.
func (c Code) Status() int {
	if facts, ok := codes[c]; ok {
		return facts.status
	}
	return http.StatusInternalServerError
}

// Hint says what to do next, when the occurrence has nothing better to say.
func (c Code) Hint() string { return codes[c].hint }

// Codes lists every code this version knows, in no order.
func Codes() []Code {
	all := make([]Code, 0, len(codes))
	for c := range codes {
		all = append(all, c)
	}
	return all
}
