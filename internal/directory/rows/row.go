package rows

import (
	"math"
	"strings"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

// verdicts are what the functions call them; any other word is Unavailable.
var verdicts = map[string]directory.Verdict{
	"found": directory.Found, "not found": directory.NotFound, "deleted": directory.Deleted,
}

type answerRow struct {
	Verdict string      `json:"verdict"`
	Machine *machineRow `json:"machine"`
}

// infoRow is what a machine says of itself, as columns.
type infoRow struct {
	Hostname string `json:"hostname"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	CPUCores int64  `json:"cpu_cores"`
	RAMBytes int64  `json:"ram_bytes"`
	Version  string `json:"version"`
}

// newInfoRow makes a machine's words fit the columns, so that no machine can spoil a batch of others.
func newInfoRow(i directory.MachineInfo) infoRow {
	return infoRow{
		Hostname: clean(i.Hostname), OS: clean(i.OS), Arch: clean(i.Arch), Version: clean(i.Version),
		CPUCores: int64(min(i.CPUCores, math.MaxInt64)), RAMBytes: int64(min(i.RAMBytes, math.MaxInt64)),
	}
}

// clean replaces what a database cannot store.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

type machineRow struct {
	infoRow
	ID         string     `json:"id"`
	AccountID  string     `json:"account_id"`
	HWID       string     `json:"hwid"`
	Name       string     `json:"name"`
	EnrolledAt time.Time  `json:"enrolled_at"`
	LastSeenAt *time.Time `json:"last_seen_at"`
	DeletedAt  time.Time  `json:"deleted_at"`
}

func (r machineRow) machine() directory.Machine {
	m := directory.Machine{
		ID: r.ID, AccountID: r.AccountID, Default: r.HWID == "", Name: r.Name,
		Info: directory.MachineInfo{
			Hostname: r.Hostname, OS: r.OS, Arch: r.Arch, CPUCores: uint64(max(r.CPUCores, 0)),
			RAMBytes: uint64(max(r.RAMBytes, 0)), HWID: r.HWID, Version: r.Version,
		},
		EnrolledAt: r.EnrolledAt, LastSeenAt: r.EnrolledAt, DeletedAt: r.DeletedAt,
	}
	if r.LastSeenAt != nil {
		m.LastSeenAt = *r.LastSeenAt
	}
	for _, name := range []string{r.Hostname, r.ID} {
		if m.Name == "" {
			m.Name = name
		}
	}
	return m
}

type enrolmentRow struct {
	infoRow
	AccountID string `json:"account_id"`
	KeyDigest string `json:"key_digest"`
	MachineID string `json:"machine_id"`
	HWID      string `json:"hwid"`
	NewID     string `json:"new_id"` // if it is a new machine
}

func newEnrolmentRow(e directory.Enrolment, newID string) enrolmentRow {
	row := enrolmentRow{
		AccountID: clean(e.AccountID), KeyDigest: hexDigest(e.Digest), MachineID: clean(e.MachineID), NewID: newID,
	}
	if e.Info != nil {
		row.infoRow, row.HWID = newInfoRow(*e.Info), clean(e.Info.HWID)
	}
	return row
}

type newsRow struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Online bool      `json:"online"`
	Info   *infoRow  `json:"info,omitempty"`
}

func newNewsRow(n directory.Seen) newsRow {
	row := newsRow{ID: n.MachineID, At: n.At.UTC(), Online: n.Online}
	if n.Info != nil {
		info := newInfoRow(*n.Info)
		row.Info = &info
	}
	return row
}
