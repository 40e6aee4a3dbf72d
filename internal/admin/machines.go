package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/directory"
)

const (
	machinesPath = "/v1/machines"
	// maxRounds bounds how many pages of the directory one call may read to find machines that are
	// offline; the caller goes on from there.
	maxRounds = 20
)

type byMachine struct {
	ID string `path:"id" doc:"The machine's id."`
}

type oneMachine struct {
	ID  string `path:"id" doc:"The machine's id."`
	Why bool   `query:"why" default:"true" doc:"false leaves out why, which reads the events and the log."`
}

type machineQuery struct {
	Online  string `query:"online" enum:"true,false" doc:"Only machines that have a session now, or only those that have none."`
	Account string `query:"account" maxLength:"256" doc:"Only machines of this account."`
	Q       string `query:"q" maxLength:"256" doc:"Only machines whose id, name, host name or hardware id contains this, in any case."`
	Cursor  string `query:"cursor" maxLength:"256" doc:"The next of the page before."`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func (a *Admin) machineRoutes(d *document) {
	register(a, d, route{
		id: "list-machines", method: http.MethodGet, path: machinesPath, status: http.StatusOK,
		summary: "List machines, in order of id.",
	}, a.listMachines)
	register(a, d, route{
		id: "get-machine", method: http.MethodGet, path: machinesPath + "/{id}", status: http.StatusOK,
		summary: "Show one machine, and why it stands as it does.",
	}, a.getMachine)
	register(a, d, route{
		id: "delete-machine", method: http.MethodDelete, path: machinesPath + "/{id}", status: http.StatusNoContent,
		summary: "Delete a machine for good and end its sessions; deleting it again changes nothing.",
	}, a.deleteMachine)
	register(a, d, route{
		id: "readmit-machine", method: http.MethodPost, path: machinesPath + "/{id}/readmit", status: http.StatusNoContent,
		summary: "Take a machine's deletion back.",
	}, a.readmitMachine)
}

// deleteMachine asks the directory first and does nothing before: the time until the machine is cut
// begins with the request's first byte.
func (a *Admin) deleteMachine(ctx context.Context, in *byMachine) (*nothing, error) {
	if err := a.cfg.MachineAdmin.Delete(ctx, in.ID); err != nil {
		return nil, machineProblem(err)
	}
	a.changed(ctx, "delete-machine", in.ID)
	return nil, nil
}

func (a *Admin) readmitMachine(ctx context.Context, in *byMachine) (*nothing, error) {
	if err := a.cfg.MachineAdmin.Readmit(ctx, in.ID); err != nil {
		return nil, machineProblem(err)
	}
	a.changed(ctx, "readmit-machine", in.ID)
	return nil, nil
}

func (a *Admin) getMachine(ctx context.Context, in *oneMachine) (*answer[api.Machine], error) {
	found := a.checkMachines(ctx, []string{in.ID})[0]
	if _, err := machineIn(found); err != nil {
		return nil, err
	}
	m := a.show(found.Machine)
	if in.Why {
		if w, err := a.whyOf(ctx, found); err == nil {
			m.Why = &w
		}
	}
	return &answer[api.Machine]{m}, nil
}

// checkMachines asks for each id; a driver that answers fewer has not answered.
func (a *Admin) checkMachines(ctx context.Context, ids []string) []directory.MachineAnswer {
	answers := a.cfg.Machines.Check(ctx, ids)
	return append(answers, make([]directory.MachineAnswer, len(ids)-min(len(ids), len(answers)))...)
}

// machineIn is the machine of an answer.
func machineIn(found directory.MachineAnswer) (directory.Machine, error) {
	switch found.Verdict {
	case directory.Found:
		return found.Machine, nil
	case directory.NotFound:
		return directory.Machine{}, machineProblem(directory.ErrNotFound)
	case directory.Deleted:
		return directory.Machine{}, wasDeleted(found.Machine)
	}
	return directory.Machine{}, directory.ErrUnavailable
}

func machineProblem(err error) error {
	if errors.Is(err, directory.ErrNotFound) {
		return api.NewError(api.CodeMachineNotFound, "there is no such machine")
	}
	return err
}

func wasDeleted(m directory.Machine) error {
	e := api.NewError(api.CodeMachineNotFound, "the machine was deleted")
	if !m.DeletedAt.IsZero() {
		e.Detail += " at " + m.DeletedAt.UTC().Format(time.RFC3339)
	}
	e.Hint = "`fleetline machine readmit ID` takes the deletion back."
	return e
}

func (a *Admin) show(m directory.Machine) api.Machine {
	sessions := a.cfg.Online(m.ID)
	return api.Machine{
		ID: m.ID, AccountID: m.AccountID, Name: m.Name, Default: m.Default,
		Online: sessions > 0, Sessions: sessions,
		Hostname: m.Info.Hostname, OS: m.Info.OS, Arch: m.Info.Arch, CPUCores: m.Info.CPUCores,
		RAMBytes: m.Info.RAMBytes, HWID: m.Info.HWID, Version: m.Info.Version,
		EnrolledAt: m.EnrolledAt, LastSeenAt: m.LastSeenAt,
	}
}

func (a *Admin) listMachines(ctx context.Context, in *machineQuery) (*answer[api.MachinePage], error) {
	read := a.storedMachines
	if api.Presence(in.Online) == api.Online {
		read = a.onlineMachines
	}
	page, err := read(ctx, in)
	if err != nil {
		return nil, err
	}
	return &answer[api.MachinePage]{page}, nil
}

// wants tells whether a machine is among those that are asked for.
func (q *machineQuery) wants(m api.Machine) bool {
	if q.Account != "" && q.Account != m.AccountID || api.Presence(q.Online) == api.Offline && m.Online {
		return false
	}
	word := strings.ToLower(q.Q)
	return word == "" || slices.ContainsFunc([]string{m.ID, m.Name, m.Hostname, m.HWID}, func(text string) bool {
		return strings.Contains(strings.ToLower(text), word)
	})
}

// step is how many machines are read at once: a search wants few of many.
func (q *machineQuery) step() int {
	if q.Q != "" {
		return api.MaxPage
	}
	return q.Limit
}

// storedMachines leaves out those that are not wanted while it reads.
func (a *Admin) storedMachines(ctx context.Context, in *machineQuery) (api.MachinePage, error) {
	page, after := newPage(in), in.Cursor
	for range maxRounds {
		rows, more, err := a.rows(ctx, in, after)
		if err != nil {
			return page, err
		}
		for i, m := range rows {
			after = m.ID
			if s := a.show(m); in.wants(s) {
				page.Machines = append(page.Machines, s)
			}
			if len(page.Machines) == in.Limit {
				more = more || i+1 < len(rows)
				break
			}
		}
		if !more {
			return page, nil
		}
		if len(page.Machines) == in.Limit {
			break
		}
	}
	page.Next = after
	return page, nil
}

// onlineMachines starts from the sessions: few machines of a large fleet may be there.
func (a *Admin) onlineMachines(ctx context.Context, in *machineQuery) (api.MachinePage, error) {
	ids := slices.DeleteFunc(a.cfg.OnlineIDs(), func(id string) bool { return id <= in.Cursor })
	slices.Sort(ids)
	page := newPage(in)
	for rounds := 0; len(ids) > 0; rounds++ {
		if rounds == maxRounds {
			return page, nil
		}
		batch := ids[:min(len(ids), in.step())]
		for i, found := range a.checkMachines(ctx, batch) {
			if found.Verdict == directory.Unavailable {
				return page, directory.ErrUnavailable
			}
			if m := a.show(found.Machine); found.Verdict == directory.Found && in.wants(m) {
				page.Machines = append(page.Machines, m)
			}
			if len(page.Machines) == in.Limit {
				if page.Next = ""; i+1 < len(ids) {
					page.Next = batch[i]
				}
				return page, nil
			}
		}
		page.Next, ids = batch[len(batch)-1], ids[len(batch):]
	}
	page.Next = ""
	return page, nil
}

// rows reads one page of the directory, and whether another follows.
func (a *Admin) rows(ctx context.Context, in *machineQuery, after string) (rows []directory.Machine, more bool, err error) {
	rows, err = a.cfg.MachineAdmin.List(ctx, directory.MachineFilter{AccountID: in.Account, After: after, Limit: in.step() + 1})
	if err != nil {
		return nil, false, err
	}
	more = len(rows) > in.step()
	return rows[:min(len(rows), in.step())], more, nil
}

func newPage(in *machineQuery) api.MachinePage {
	return api.MachinePage{Machines: make([]api.Machine, 0, min(in.Limit, api.DefaultPage))}
}
