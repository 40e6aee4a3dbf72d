package supabase

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fleetline/fleetline/internal/directory"
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
	rows := make([]row, len(list))
	for i, fields := range list {
		var err error
		if rows[i].id, err = canonicalID(fields[id]); err != nil {
			return nil, err
		}
		if key == "" {
			continue
		}
		if rows[i].key, err = decodeKey(fields[key]); err != nil {
			return nil, err
		}
	}
	return rows, nil
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
	return isText(id)
}

// isText tells what a text column can hold.
func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

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
