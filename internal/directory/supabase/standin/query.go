package standin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// statement is SQL with its parameters. PostgreSQL finds the types of those itself, so a value that
// does not fit its column is PostgreSQL's own error.
type statement struct {
	sql  strings.Builder
	args []string
}

func (s *statement) add(parts ...string) {
	for _, part := range parts {
		s.sql.WriteString(part)
	}
}

func (s *statement) arg(value string) string {
	s.args = append(s.args, value)
	return "$" + strconv.Itoa(len(s.args))
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// reserved are the parameters that are no filters.
var reserved = []string{"select", "order", "limit", "offset", "columns", "on_conflict"}

// where adds the conditions of all filters. A blank parameter is none: that it filters nothing is
// PostgREST's way.
func (s *statement) where(c call, relation string) error {
	word := " where "
	for name, values := range c.query {
		if slices.Contains(reserved, name) {
			continue
		}
		for _, value := range values {
			if value == "" {
				continue
			}
			s.add(word)
			word = " and "
			if err := s.filter(relation, name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// filter adds what one parameter asks for: name=op.value, or and=(...).
func (s *statement) filter(relation, name, value string) error {
	switch name {
	case "and", "or", "not.and", "not.or":
		p := parser{text: name + value, s: s, relation: relation}
		return p.tree()
	}
	p := parser{text: name}
	column, err := p.name()
	if err != nil || p.text != "" {
		column = name
	}
	p = parser{text: value, s: s, relation: relation, toTheEnd: true}
	return p.operation(column)
}

// parser reads filters from its text and adds their SQL as it goes.
type parser struct {
	text     string
	s        *statement
	relation string
	// toTheEnd takes the value of a filter literally; in a tree it is quoted or ends at , or ).
	toTheEnd bool
}

func (p *parser) take(prefix string) bool {
	rest, ok := strings.CutPrefix(p.text, prefix)
	p.text = rest
	return ok
}

// until takes what comes before any of the stops.
func (p *parser) until(stops string) string {
	end := strings.IndexAny(p.text, stops)
	if end < 0 {
		end = len(p.text)
	}
	head := p.text[:end]
	p.text = p.text[end:]
	return head
}

func (p *parser) spaces() { p.text = strings.TrimLeft(p.text, " ") }

func (p *parser) fails(what string) error {
	return pgrst(400, "PGRST100", fmt.Sprintf("%q (line 1, column 1)", "failed to parse filter"), "unexpected "+what)
}

// tree is and(...), or(...), not.and(...), or a filter.
func (p *parser) tree() error {
	p.spaces()
	before := p.text
	negated := p.take("not.")
	operator := ""
	for _, name := range []string{"and", "or"} {
		if strings.HasPrefix(strings.TrimLeft(strings.TrimPrefix(p.text, name), " "), "(") && p.take(name) {
			operator = name
		}
	}
	if operator == "" {
		p.text = before
		return p.treeFilter()
	}
	p.spaces()
	p.take("(")
	if negated {
		p.s.add("not ")
	}
	p.s.add("(")
	for {
		if err := p.tree(); err != nil {
			return err
		}
		p.spaces()
		if p.take(")") {
			p.s.add(")")
			return nil
		}
		if !p.take(",") {
			return p.fails("end of a tree")
		}
		p.s.add(" ", operator, " ")
	}
}

func (p *parser) treeFilter() error {
	column, err := p.name()
	if err != nil {
		return err
	}
	if !p.take(".") {
		return p.fails("end of a column's name")
	}
	return p.operation(column)
}

// name is a column's name: quoted, or of plain characters.
func (p *parser) name() (string, error) {
	if quoted, ok := p.quoted(); ok {
		return quoted, nil
	}
	name := p.until(`.,()"\:*&`)
	if name == "" {
		return "", p.fails("start of a column's name")
	}
	return name, nil
}

// quoted is a value in quotation marks, where a backslash keeps what follows it. If the text does not
// begin with a whole one, it is left as it is.
func (p *parser) quoted() (string, bool) {
	if !strings.HasPrefix(p.text, `"`) {
		return "", false
	}
	var value strings.Builder
	for i := 1; i < len(p.text); i++ {
		switch p.text[i] {
		case '"':
			p.text = p.text[i+1:]
			return value.String(), true
		case '\\':
			i++
			if i == len(p.text) {
				return "", false
			}
		}
		value.WriteByte(p.text[i])
	}
	return "", false
}

// element is one value in a list or tree: quoted, or everything up to a comma or a parenthesis. A
// closing mark that is followed by more makes the mark a part of the value.
func (p *parser) element() string {
	before := p.text
	if value, ok := p.quoted(); ok && (p.text == "" || strings.ContainsAny(p.text[:1], ",)")) {
		return value
	}
	p.text = before
	return p.until(",)")
}

var operators = []struct{ name, sql string }{
	{"eq.", "="}, {"neq.", "<>"}, {"gte.", ">="}, {"gt.", ">"}, {"lte.", "<="}, {"lt.", "<"},
}

// operation adds column op value.
func (p *parser) operation(column string) error {
	if p.take("not.") {
		p.s.add("not ")
	}
	field := p.relation + "." + quote(column)
	if p.take("in.") {
		list, err := p.list()
		p.s.add(field, " = any (", p.s.arg(list), ")")
		return err
	}
	if p.take("is.") {
		value := p.value()
		if !slices.Contains([]string{"null", "not_null", "true", "false", "unknown"}, value) {
			return p.fails("value of is")
		}
		p.s.add(field, " is ", strings.ReplaceAll(value, "_", " "))
		return nil
	}
	for _, operator := range operators {
		if p.take(operator.name) {
			p.s.add(field, " ", operator.sql, " ", p.s.arg(p.value()))
			return nil
		}
	}
	return p.fails("operator in " + strconv.Quote(p.text))
}

func (p *parser) value() string {
	if p.toTheEnd {
		value := p.text
		p.text = ""
		return value
	}
	return p.element()
}

// list is (a,"b") as PostgreSQL writes an array; () is empty.
func (p *parser) list() (string, error) {
	if !p.take("(") {
		return "", p.fails("start of a list")
	}
	if p.take(")") {
		return "{}", nil
	}
	var values []string
	for {
		values = append(values, p.element())
		if p.take(")") {
			return array(values), nil
		}
		if !p.take(",") {
			return "", p.fails("end of a list")
		}
	}
}

// columns adds what select asks for: names with an alias: before or a ::cast behind.
func (s *statement) columns(c call, relation string) error {
	items := c.query.Get("select")
	if items == "" {
		items = "*"
	}
	for i, item := range strings.Split(items, ",") {
		item = strings.TrimSpace(item)
		if i > 0 {
			s.add(", ")
		}
		if item == "*" {
			s.add(relation, ".*")
			continue
		}
		if strings.ContainsAny(item, "()>") {
			return pgrst(400, "PGRST100", "the stand-in selects columns only, not "+item, "")
		}
		item, cast, isCast := strings.Cut(item, "::")
		alias, column, isNamed := strings.Cut(item, ":")
		if !isNamed {
			column = alias
		}
		if column = unquote(column); !isNamed {
			alias = column
		}
		field := relation + "." + quote(column)
		if isCast {
			field = "cast(" + field + " as " + quote(cast) + ")"
		}
		s.add(field, " as ", quote(alias))
	}
	return nil
}

func unquote(name string) string {
	if p := (parser{text: name}); strings.HasPrefix(name, `"`) {
		if plain, ok := p.quoted(); ok && p.text == "" {
			return plain
		}
	}
	return name
}

// order adds order by a.desc.nullslast,b.
func (s *statement) order(c call, relation string) error {
	word := " order by "
	for term := range strings.SplitSeq(c.query.Get("order"), ",") {
		if term == "" {
			continue
		}
		parts := strings.Split(term, ".")
		s.add(word, relation, ".", quote(unquote(parts[0])))
		word = ", "
		for _, part := range parts[1:] {
			sql, ok := map[string]string{
				"asc": " asc", "desc": " desc", "nullsfirst": " nulls first", "nullslast": " nulls last",
			}[part]
			if !ok {
				return pgrst(400, "PGRST100", fmt.Sprintf("%q (line 1, column 1)", "failed to parse order ("+term+")"), "unexpected "+part)
			}
			s.add(sql)
		}
	}
	return nil
}
