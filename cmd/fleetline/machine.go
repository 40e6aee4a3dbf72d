package main

import (
	"context"
	"fmt"

	"github.com/fleetline/fleetline/api"
)

type machineCmd struct {
	List    machineListCmd    `cmd:"" help:"List the machines."`
	Show    machineShowCmd    `cmd:"" help:"Show all that is known of a machine."`
	Delete  machineDeleteCmd  `cmd:"" help:"Delete a machine for good: it is told, cut off and refused from now on."`
	Readmit machineReadmitCmd `cmd:"" help:"Take the deletion of a machine back."`
}

type machineListCmd struct {
	operator
	Online  bool   `xor:"presence" help:"Only machines that are online."`
	Offline bool   `xor:"presence" help:"Only machines that are not."`
	Account string `placeholder:"ID" help:"Only machines of this account."`
}

// Help shows an example.
func (machineListCmd) Help() string { return "Example:\n\n\t$ fleetline machine list --online" }

// Run lists the machines.
func (m *machineListCmd) Run(ctx context.Context, c *console) error {
	client, err := m.client()
	if err != nil {
		return err
	}
	machines := []api.Machine{}
	for machine, err := range client.Machines(ctx, m.query()) {
		if err != nil {
			return err
		}
		machines = append(machines, machine)
	}
	if m.JSON {
		return c.printJSON(api.MachinePage{Machines: machines})
	}
	rows := [][]string{{"ID", "HOST", "ACCOUNT", "ONLINE", "LAST SEEN"}}
	for _, machine := range machines {
		rows = append(rows, []string{machine.ID, hostOf(machine), machine.AccountID, yes(machine.Online), when(machine.LastSeenAt)})
	}
	return c.printTable(rows)
}

func (m *machineListCmd) query() api.MachineQuery {
	q := api.MachineQuery{Account: m.Account, Limit: api.MaxPage}
	if m.Online {
		q.Presence = api.Online
	}
	if m.Offline {
		q.Presence = api.Offline
	}
	return q
}

func hostOf(m api.Machine) string {
	if m.Hostname == "" && m.Default {
		return "(default machine)"
	}
	return m.Hostname
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

type machineShowCmd struct {
	operator
	ID string `arg:"" help:"The machine."`
}

// Help shows an example.
func (machineShowCmd) Help() string {
	return "Example:\n\n\t$ fleetline machine show mch_a1b2c3d4_k3v9q0"
}

// Run shows the machine.
func (m *machineShowCmd) Run(ctx context.Context, c *console) error {
	client, err := m.client()
	if err != nil {
		return err
	}
	machine, err := client.Machine(ctx, m.ID)
	if err != nil {
		return err
	}
	if m.JSON {
		return c.printJSON(machine)
	}
	return c.printTable(facts(machine))
}

func facts(m api.Machine) [][]string {
	return [][]string{
		{"id", m.ID},
		{"account", m.AccountID},
		{"name", m.Name},
		{"default", yes(m.Default)},
		{"online", yes(m.Online)},
		{"sessions", fmt.Sprint(m.Sessions)},
		{"host", m.Hostname},
		{"system", m.OS + " " + m.Arch},
		{"cores", count(m.CPUCores)},
		{"memory", count(m.RAMBytes)},
		{"hwid", m.HWID},
		{"version", m.Version},
		{"enrolled", when(m.EnrolledAt)},
		{"last seen", when(m.LastSeenAt)},
	}
}

func count(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

type machineDeleteCmd struct {
	operator
	ID string `arg:"" help:"The machine."`
}

// Help shows an example.
func (machineDeleteCmd) Help() string {
	return "Example:\n\n\t$ fleetline machine delete mch_a1b2c3d4_k3v9q0"
}

// Run deletes the machine.
func (m *machineDeleteCmd) Run(ctx context.Context, c *console) error {
	client, err := m.client()
	if err != nil {
		return err
	}
	if err := client.DeleteMachine(ctx, m.ID); err != nil {
		return err
	}
	return c.printDone(m.ID, "deleted", m.JSON)
}

type machineReadmitCmd struct {
	operator
	ID string `arg:"" help:"The machine."`
}

// Help shows an example.
func (machineReadmitCmd) Help() string {
	return "Example:\n\n\t$ fleetline machine readmit mch_a1b2c3d4_k3v9q0"
}

// Run takes the deletion back.
func (m *machineReadmitCmd) Run(ctx context.Context, c *console) error {
	client, err := m.client()
	if err != nil {
		return err
	}
	if err := client.ReadmitMachine(ctx, m.ID); err != nil {
		return err
	}
	return c.printDone(m.ID, "readmitted", m.JSON)
}
