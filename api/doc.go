// Package api is the operators' HTTP API as Go: the bodies of requests and answers, the stable error
// codes, and a client with one method per call. The gateway's admin door uses the same types and the
// same table of codes, so the two ends cannot disagree.
//
// The client makes one request per call and never retries: publishing is idempotent by message id,
// so callers that want to try again can. Keys and tokens never appear in errors or in what fmt and
// slog print of a value; only JSON carries them.
package api
