package directory

import (
	"crypto/rand"
	"encoding/base32"
	"regexp"
)

var (
	lowerBase32       = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	validInstallation = regexp.MustCompile(`^[a-z2-7]{8}$`)
)

// NewMachineID makes the id of a machine that is enrolled at an installation, which it names.
func NewMachineID(installation string) string { return "mch_" + installation + "_" + RandomID() }

// RandomID is 16 characters, 80 bits.
func RandomID() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	return lowerBase32.EncodeToString(b[:])
}

// IsInstallation tells whether an id can be an installation's: 8 characters of lower-case base32.
func IsInstallation(id string) bool { return validInstallation.MatchString(id) }
