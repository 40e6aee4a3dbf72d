package rows

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/fleetline/fleetline/internal/directory"
)

// Machines keeps machines as rows, through the functions that Migration makes. It is a
// directory.Machines but for Watch, and a directory.MachineAdmin.
type Machines struct {
	caller       Caller
	installation string
	complaint    *Complaint
}

const (
	// batch is the most that one call asks for.
	batch = 500
	// width is how many calls are made at once.
	width = 4
)

var errOdd = errors.New("the answer does not fit the question")

// NewMachines names every machine that it enrols after the installation.
func NewMachines(caller Caller, installation string, log *slog.Logger) *Machines {
	return &Machines{caller: caller, installation: installation, complaint: NewComplaint(log, "the table of machines does not answer")}
}

// Installed is nil if the functions are there in this version, and ErrNotInstalled if not.
func (m *Machines) Installed(ctx context.Context) error {
	var have struct{ Version int }
	if err := m.caller.Call(ctx, "fleetline_version", struct{}{}, &have); err != nil {
		return err
	}
	if have.Version != Version {
		return fmt.Errorf("%w in version %d, but in %d", ErrNotInstalled, Version, have.Version)
	}
	return nil
}

// Enrol finds or makes the machine of each enrolment, in order.
func (m *Machines) Enrol(ctx context.Context, es []directory.Enrolment) []directory.MachineAnswer {
	asked := make([]enrolmentRow, len(es))
	for i, e := range es {
		asked[i] = newEnrolmentRow(e, directory.NewMachineID(m.installation))
	}
	answers := inBatches(asked, func(part []enrolmentRow) []directory.MachineAnswer {
		return m.ask(ctx, "fleetline_enrol", map[string]any{"enrolments": part}, len(part), func(i int, row machineRow) bool {
			return row.AccountID == part[i].AccountID
		})
	})
	for i, e := range es {
		answers[i].New = answers[i].Verdict == directory.Found && answers[i].Machine.ID == asked[i].NewID
		if !Storable(e.AccountID) {
			answers[i] = directory.MachineAnswer{} // asked under another name: nobody has such an id
		}
	}
	return answers
}

// Check answers for each machine id, in order, from the primary.
func (m *Machines) Check(ctx context.Context, ids []string) []directory.MachineAnswer {
	asked := make([]string, len(ids))
	for i, id := range ids {
		asked[i] = clean(id)
	}
	answers := inBatches(asked, func(part []string) []directory.MachineAnswer {
		return m.ask(ctx, "fleetline_machines_by_id", map[string]any{"ids": part}, len(part), func(i int, row machineRow) bool {
			return row.ID == part[i]
		})
	})
	for i, id := range ids {
		if !Storable(id) && answers[i].Verdict != directory.Unavailable {
			answers[i] = directory.MachineAnswer{Verdict: directory.NotFound}
		}
	}
	return answers
}

// ask makes one call for n answers. If it fails, or a machine that is not the one asked for is in
// them, nothing is known.
func (m *Machines) ask(ctx context.Context, function string, args any, n int, fits func(i int, row machineRow) bool) []directory.MachineAnswer {
	answers, err := m.tryAsk(ctx, function, args, n, fits)
	m.complaint.Note(err)
	if err != nil {
		return make([]directory.MachineAnswer, n)
	}
	return answers
}

func (m *Machines) tryAsk(ctx context.Context, function string, args any, n int, fits func(i int, row machineRow) bool) ([]directory.MachineAnswer, error) {
	var got []answerRow
	if err := m.caller.Call(ctx, function, args, &got); err != nil {
		return nil, err
	}
	if len(got) != n {
		return nil, errOdd
	}
	answers := make([]directory.MachineAnswer, n)
	for i, a := range got {
		answers[i].Verdict = verdicts[a.Verdict]
		if a.Machine == nil {
			continue
		}
		if !fits(i, *a.Machine) {
			return nil, errOdd
		}
		answers[i].Machine = a.Machine.machine()
	}
	return answers, nil
}

// inBatches asks for parts of a list, some at once, and returns all answers in order.
func inBatches[Q, A any](list []Q, ask func([]Q) []A) []A {
	answers := make([]A, len(list))
	places := make(chan struct{}, width)
	var work sync.WaitGroup
	for from := 0; from < len(list); from += batch {
		to := min(from+batch, len(list))
		places <- struct{}{}
		work.Go(func() { // ends with its call
			copy(answers[from:to], ask(list[from:to]))
			<-places
		})
	}
	work.Wait()
	return answers
}

// Seen stores news of machines that exist. Of several of one machine, the latest counts.
func (m *Machines) Seen(ctx context.Context, all []directory.Seen) error {
	for part := range slices.Chunk(latest(all), batch) {
		if err := m.caller.Call(ctx, "fleetline_seen", map[string]any{"news": part}, nil); err != nil {
			return fmt.Errorf("storing news of machines: %w", unavailable(err))
		}
	}
	return nil
}

// latest leaves one piece of news for each machine, in order of id: two writers do not wait for each
// other then.
func latest(all []directory.Seen) []newsRow {
	last := make(map[string]directory.Seen, len(all))
	for _, n := range all {
		if old, known := last[n.MachineID]; known {
			if n.Info == nil {
				n.Info = old.Info
			}
			if old.At.After(n.At) {
				n.At, n.Online = old.At, old.Online
			}
		}
		last[n.MachineID] = n
	}
	var list []newsRow
	for id, n := range last {
		if Storable(id) {
			list = append(list, newNewsRow(n))
		}
	}
	slices.SortFunc(list, func(a, b newsRow) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// ResetOnline says of all machines of the installation that they are not connected: for its start.
func (m *Machines) ResetOnline(ctx context.Context) error {
	args := map[string]any{"installation": m.installation}
	if err := m.caller.Call(ctx, "fleetline_reset_online", args, nil); err != nil {
		return fmt.Errorf("marking machines as not connected: %w", unavailable(err))
	}
	return nil
}

// List returns the machines that f chooses.
func (m *Machines) List(ctx context.Context, f directory.MachineFilter) ([]directory.Machine, error) {
	want := f.Limit
	if want <= 0 {
		want = 100
	}
	after := clean(f.After)
	var list []directory.Machine
	for len(list) < want {
		limit := min(want-len(list), batch)
		args := map[string]any{"after": after, "limit": limit, "deleted": f.Deleted}
		if f.AccountID != "" {
			args["account_id"] = clean(f.AccountID)
		}
		var page []machineRow
		if err := m.caller.Call(ctx, "fleetline_list_machines", args, &page); err != nil {
			return nil, fmt.Errorf("listing machines: %w", unavailable(err))
		}
		for _, row := range page {
			list = append(list, row.machine())
		}
		if len(page) < limit {
			break
		}
		after = page[len(page)-1].ID
	}
	return list, nil
}

// Delete deletes a machine for good. It stays deleted for the key that opens its account now.
func (m *Machines) Delete(ctx context.Context, id string) error {
	if err := m.settle(ctx, "fleetline_delete_machine", id); err != nil {
		return fmt.Errorf("deleting machine %q: %w", id, err)
	}
	return nil
}

// Readmit lets a deleted machine live again.
func (m *Machines) Readmit(ctx context.Context, id string) error {
	if err := m.settle(ctx, "fleetline_readmit", id); err != nil {
		return fmt.Errorf("readmitting machine %q: %w", id, err)
	}
	return nil
}

func (m *Machines) settle(ctx context.Context, function, id string) error {
	if !Storable(id) {
		return directory.ErrNotFound
	}
	var got struct{ Verdict, By string }
	if err := m.caller.Call(ctx, function, map[string]any{"id": id}, &got); err != nil {
		return unavailable(err)
	}
	switch got.Verdict {
	case "found", "deleted":
		return nil
	case "not found":
		return directory.ErrNotFound
	case "no account":
		return fmt.Errorf("%w: its account is gone", directory.ErrNotFound)
	case "replaced":
		return fmt.Errorf("%w: %s", directory.ErrReplaced, got.By)
	}
	return unavailable(errOdd)
}

// DeleteAll deletes the machines of an account that are still there.
func (m *Machines) DeleteAll(ctx context.Context, account string) error {
	if !Storable(account) {
		return nil
	}
	args := map[string]any{"account_id": account}
	if err := m.caller.Call(ctx, "fleetline_delete_machines_of", args, nil); err != nil {
		return fmt.Errorf("deleting its machines: %w", unavailable(err))
	}
	return nil
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", directory.ErrUnavailable, err) }

func hexDigest(d directory.Digest) string { return hex.EncodeToString(d[:]) }
