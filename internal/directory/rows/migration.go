package rows

import (
	_ "embed"
	"strconv"
	"strings"
)

// Version is that of the functions that Migration makes and Machines calls.
const Version = 1

//go:embed migration.sql
var migration string

// Migration is the script that the owner runs once, and may run again.
func (n Names) Migration() string { return n.fill(migration) }

// fill puts names into SQL: as identifiers where they stand bare, as strings where they are marked.
func (n Names) fill(sql string) string {
	n = n.WithDefaults()
	accounts, machines, deletions := n.Table(n.Accounts), n.Table(n.Machines), n.Table(Deletions)
	return strings.NewReplacer(
		"@schema@", Quote(n.Schema), "@schema_literal@", Literal(Quote(n.Schema)),
		"@accounts@", accounts, "@accounts_literal@", Literal(accounts),
		"@machines@", machines, "@machines_literal@", Literal(machines),
		"@deletions@", deletions, "@deletions_literal@", Literal(deletions),
		"@id@", Quote(n.ID), "@id_literal@", Literal(n.ID), "@key@", Quote(n.Key),
		"@version@", strconv.Itoa(Version),
	).Replace(sql)
}
