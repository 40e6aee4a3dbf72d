package rows

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Names are the names of the owner's schema, table and columns, as they are: they are quoted here.
type Names struct {
	Schema   string // "": public
	Accounts string // the table of accounts; "": user
	ID       string // its column of ids; "": id
	Key      string // its column of API keys; "": apikey
	Machines string // the table of machines; "": machines
}

// maxName is the longest name that PostgreSQL does not cut short, in bytes.
const maxName = 63

// WithDefaults fills in what is empty.
func (n Names) WithDefaults() Names {
	for _, x := range []struct {
		name  *string
		value string
	}{{&n.Schema, "public"}, {&n.Accounts, "user"}, {&n.ID, "id"}, {&n.Key, "apikey"}, {&n.Machines, "machines"}} {
		if *x.name == "" {
			*x.name = x.value
		}
	}
	return n
}

// Check reports every name that cannot be one.
func (n Names) Check() error {
	n = n.WithDefaults()
	var problems []error
	for _, x := range []struct{ what, name string }{
		{"schema", n.Schema}, {"table of accounts", n.Accounts}, {"column of ids", n.ID},
		{"column of keys", n.Key}, {"table of machines", n.Machines},
	} {
		if err := checkName(x.name); err != nil {
			problems = append(problems, fmt.Errorf("the %s cannot be called %q: %w", x.what, x.name, err))
		}
	}
	if n.ID == n.Key {
		problems = append(problems, errors.New("ids and keys cannot be the same column"))
	}
	if n.Accounts == n.Machines || n.Machines == Deletions || n.Accounts == Deletions {
		problems = append(problems, fmt.Errorf("accounts, machines and %s cannot be the same table", Deletions))
	}
	return errors.Join(problems...)
}

func checkName(name string) error {
	switch {
	case len(name) > maxName:
		return fmt.Errorf("it is longer than %d bytes", maxName)
	case !utf8.ValidString(name):
		return errors.New("it is not UTF-8")
	case strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("it holds a control character")
	case strings.ContainsRune(name, '$'):
		return errors.New("it holds a $")
	case strings.TrimSpace(name) == "":
		return errors.New("it is blank")
	}
	return nil
}

// Quote makes an SQL identifier of a name.
func Quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Literal makes an SQL string of a text.
func Literal(text string) string {
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	if strings.Contains(text, `\`) {
		return "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

// Table is a table of the schema, quoted.
func (n Names) Table(name string) string { return Quote(n.WithDefaults().Schema) + "." + Quote(name) }

// Storable tells whether a text can be in the database at all. What cannot is not found.
func Storable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }
