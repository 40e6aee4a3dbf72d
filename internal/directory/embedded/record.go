package embedded

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

// accountRecord is an account as it is stored, under its id.
type accountRecord struct {
	Name      string      `json:"name,omitempty"`
	CreatedAt time.Time   `json:"createdAt"`
	DeletedAt time.Time   `json:"deletedAt,omitzero"`
	Keys      []keyRecord `json:"keys,omitempty"` // the newest first; none once it is deleted
}

// keyRecord is a key as it is stored: only its digest.
type keyRecord struct {
	Digest digest    `json:"sha256"`
	Until  time.Time `json:"until,omitzero"` // zero: for as long as the account
}

func (k keyRecord) opens(now time.Time) bool { return k.Until.IsZero() || now.Before(k.Until) }

// digest is a directory.Digest in JSON.
type digest directory.Digest

// MarshalText writes base64url.
func (d digest) MarshalText() ([]byte, error) { return base64url.AppendEncode(nil, d[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *digest) UnmarshalText(text []byte) error {
	b, err := base64url.AppendDecode(nil, text)
	if err != nil || len(b) != len(d) {
		return errors.New("not a digest")
	}
	copy(d[:], b)
	return nil
}

func parseAccount(value []byte) (accountRecord, error) {
	var r accountRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return r, errBadJSON
	}
	switch {
	case r.CreatedAt.IsZero():
		return r, errors.New("it says not when it was made")
	case r.DeletedAt.IsZero() == (len(r.Keys) == 0):
		return r, errors.New("it has no key, or is deleted and has one")
	}
	return r, nil
}

// errBadJSON replaces what the decoder says, which may quote the record.
var errBadJSON = errors.New("it is not the JSON of a record")

// slotRecord is all the machines that were ever enrolled with one hwid, or as the default machine,
// of one account, the oldest first. At most one of them exists.
type slotRecord struct {
	Account string       `json:"account"`
	HWID    string       `json:"hwid,omitempty"` // empty: the default machine
	Lives   []lifeRecord `json:"lives"`
	// isLong: it lies under the longer key that an earlier version gave it.
	isLong bool
}

// lifeRecord is one machine.
type lifeRecord struct {
	ID         string                `json:"id"`
	Key        digest                `json:"key"` // it came with, last
	Info       directory.MachineInfo `json:"info,omitzero"`
	EnrolledAt time.Time             `json:"enrolledAt"`
	SeenAt     time.Time             `json:"seenAt,omitzero"` // when it said what Info says, if that was later
	DeletedAt  time.Time             `json:"deletedAt,omitzero"`
	Under      []digest              `json:"under,omitempty"` // the keys it stays deleted for
}

func (l lifeRecord) isDeleted() bool { return !l.DeletedAt.IsZero() }

// isRefused tells whether the machine stays deleted when it comes with d.
func (l lifeRecord) isRefused(d directory.Digest) bool {
	return l.isDeleted() && slices.Contains(l.Under, digest(d))
}

func (r slotRecord) key() string {
	if r.isLong {
		return longSlotKey(r.Account, r.HWID)
	}
	return slotKey(r.Account, r.HWID)
}

func (r slotRecord) isDefault() bool { return r.HWID == "" }

// alive is the place of the machine that exists, or -1.
func (r slotRecord) alive() int {
	return slices.IndexFunc(r.Lives, func(l lifeRecord) bool { return !l.isDeleted() })
}

// refused is the place of the latest machine that stays deleted when it comes with d, or -1.
func (r slotRecord) refused(d directory.Digest) int {
	for i := len(r.Lives) - 1; i >= 0; i-- {
		if r.Lives[i].isRefused(d) {
			return i
		}
	}
	return -1
}

func (r slotRecord) find(id string) int {
	return slices.IndexFunc(r.Lives, func(l lifeRecord) bool { return l.ID == id })
}

// with is a copy in which life i is changed.
func (r slotRecord) with(i int, change func(*lifeRecord)) slotRecord {
	r.Lives = slices.Clone(r.Lives)
	change(&r.Lives[i])
	return r
}

// plus is a copy with one more life.
func (r slotRecord) plus(l lifeRecord) slotRecord {
	r.Lives = append(slices.Clip(r.Lives), l)
	return r
}

func parseSlot(key string, value []byte) (slotRecord, error) {
	var r slotRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return r, errBadJSON
	}
	r.isLong = key == longSlotKey(r.Account, r.HWID)
	if r.Account == "" || len(r.Lives) == 0 || r.key() != key {
		return r, errors.New("it does not belong where it lies")
	}
	alive := 0
	for _, l := range r.Lives {
		if l.ID == "" || l.EnrolledAt.IsZero() {
			return r, errors.New("a machine has no id or no time of enrolment")
		}
		if !l.isDeleted() {
			alive++
		}
	}
	if alive > 1 {
		return r, errors.New("two machines exist in one place")
	}
	return r, nil
}

// seenRecord is the latest news of a machine as an earlier version stored them, each under a key. It
// is read and no longer written.
type seenRecord struct {
	At   time.Time              `json:"at"`
	Info *directory.MachineInfo `json:"info,omitempty"`
}

func parseSeen(value []byte) (seenRecord, error) {
	var r seenRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return r, errBadJSON
	}
	return r, nil
}

const (
	slotPrefix = "slot."
	seenPrefix = "seen."
	pagePrefix = seenPrefix + "page."
)

// slotKey hashes: accounts and hwids come from elsewhere and may be any text of any length. Half a
// hash is enough to tell them apart, and every node keeps the keys in memory, more than once.
func slotKey(account, hwid string) string {
	sum := slotSum(account, hwid)
	return slotPrefix + lowerBase32.EncodeToString(sum[:len(sum)/2])
}

// longSlotKey is the key that an earlier version gave a slot. A record that lies there stays there.
func longSlotKey(account, hwid string) string {
	sum := slotSum(account, hwid)
	return slotPrefix + lowerBase32.EncodeToString(sum[:])
}

func slotSum(account, hwid string) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%d.%s%s", len(account), account, hwid))
}

var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// encode never fails: records hold nothing that JSON cannot.
func encode(record any) []byte {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(record); err != nil {
		panic("embedded: encoding a record: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
