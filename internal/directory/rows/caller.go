package rows

import (
	"context"
	"errors"
)

// Caller calls one of the functions that Migration makes. Each takes one argument, named ask, of type
// jsonb, and returns jsonb: args is encoded for it, and result decoded from what it returns. Over
// PostgREST that is a POST of {"ask": args} to /rpc/FUNCTION.
//
// An error means that nothing is known. If the function does not exist, it is an ErrNotInstalled.
type Caller interface {
	Call(ctx context.Context, function string, args, result any) error
}

// ErrNotInstalled is the error of a Caller whose database has no such function: the owner has not
// run Migration, or an earlier version of it.
var ErrNotInstalled = errors.New("fleetline's functions are not installed in the database")

// The functions that look accounts up. They are no Caller's: each takes an array of texts, named
// keys or ids, and returns rows of (id text, apikey text), at most two for each.
const (
	AccountsByKey = "fleetline_accounts_by_key"
	AccountsByID  = "fleetline_accounts_by_id"
)

// Deletions is the table of deletion records. Its rows have machine_id, account_id, asked (through
// our own operators' side) and deleted_at. A row that is inserted is a deletion, one that is removed
// a readmission.
const Deletions = "fleetline_deletions"
