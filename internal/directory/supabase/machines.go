package supabase

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/rows"
)

// Machines is the face of a Directory that keeps machines, in tables of the project.
type Machines struct {
	*rows.Machines
	d *Directory
}

// Watch is as in Accounts.
func (m *Machines) Watch(ctx context.Context, report func(directory.Event)) error {
	return m.d.machineFeed.Watch(ctx, m.d.life, report)
}

// caller runs the functions of package rows.
type caller struct{ rest *rest }

// repeatable are those that change nothing.
var repeatable = map[string]bool{
	"fleetline_version": true, "fleetline_machines_by_id": true, "fleetline_list_machines": true,
}

// Call runs a function and decodes what it returns into result; nil: nothing.
func (c caller) Call(ctx context.Context, function string, args, result any) error {
	a, err := c.rest.do(ctx, request{
		kind: "machines", path: "rpc/" + function, body: map[string]any{"ask": args}, repeat: repeatable[function],
	})
	switch {
	case isMissingFunction(err):
		return fmt.Errorf("%w (%w)", rows.ErrNotInstalled, err)
	case err != nil:
		return err
	case a.status != 200:
		return unusable(a.status, "the answer is not what the function returns")
	case result != nil && (len(a.body) == 0 || json.Unmarshal(a.body, result) != nil):
		return unusable(a.status, "the answer is not what the function returns")
	}
	return nil
}

// deletionChanged reports a change of the records of deletions: one that is written is a deletion,
// one that is removed a readmission.
func (d *Directory) deletionChanged(c change) {
	record, kind := c.after, directory.Gone
	if c.kind == "DELETE" {
		record, kind = c.before, directory.Changed
	}
	id, named := idIn(record, "machine_id")
	if !named {
		d.noteUnnamed(rows.Deletions)
		return
	}
	e := directory.Event{Kind: kind, ID: id}
	if kind == directory.Gone {
		e.Asked = string(c.after["asked"]) == "true"
	}
	d.machineFeed.Push(e)
}

var (
	_ directory.Machines     = (*Machines)(nil)
	_ directory.MachineAdmin = (*Machines)(nil)
)
