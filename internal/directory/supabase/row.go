package supabase

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/rows"
)

// row is one account as it comes back.
type row struct {
	id  string
	key directory.Key // "" if the account has none
}

func (r row) account() directory.Account {
	a := directory.Account{ID: r.id}
	if r.key != "" {
		a.Digests = []directory.Digest{r.key.Digest()}
	}
	return a
}

var errShape = errors.New("the answer is no list of rows")

// decodeRows reads an array of objects that all have both columns. key "" reads no keys.
func decodeRows(body []byte, id, key string) ([]row, error) {
	var list []map[string]json.RawMessage
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) || json.Unmarshal(body, &list) != nil {
		return nil, errShape
	}
	found := make([]row, len(list))
	for i, fields := range list {
		var err error
		if found[i].id, err = canonicalID(fields[id]); err != nil {
			return nil, err
		}
		if key == "" {
			continue
		}
		if found[i].key, err = decodeKey(fields[key]); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func decodeKey(raw json.RawMessage) (directory.Key, error) {
	var s *string
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil {
		return "", errShape
	}
	if s == nil {
		return "", nil
	}
	return directory.Key(*s), nil
}

// canonicalID is the text of an id, be it a uuid, a text or a number larger than a float holds.
func canonicalID(raw json.RawMessage) (string, error) {
	if len(raw) > 0 && raw[0] == '"' {
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return "", errShape
		}
		return s, nil
	}
	if _, err := strconv.ParseInt(string(raw), 10, 64); err != nil {
		return "", errShape
	}
	return string(raw), nil
}

// idKind is the type of the id column, as far as it decides what can be asked for.
type idKind uint8

const (
	textID idKind = iota
	numberID
	uuidID
)

// fits tells whether any row can have this id. Asking for another makes the database refuse the
// whole question, and whoever is asked for along with it would be unknown too.
func (k idKind) fits(id string) bool {
	switch k {
	case numberID:
		n, err := strconv.ParseInt(id, 10, 64)
		return err == nil && strconv.FormatInt(n, 10) == id
	case uuidID:
		return isUUID(id)
	}
	return rows.Storable(id)
}

// stranger is an id that no row has.
func (k idKind) stranger() string {
	switch k {
	case numberID:
		return strconv.Itoa(math.MinInt32) // an integer of the smaller kind, too
	case uuidID:
		var b [16]byte
		_, _ = rand.Read(b[:]) // never fails
		return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	}
	return rand.Text()
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
