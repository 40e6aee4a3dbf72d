package wire_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/wire"
)

func TestTheSpecificationListsEveryCloseCode(t *testing.T) {
	got := make(map[string]string)
	for _, row := range table(t, "## Close codes") {
		got[row[0]] = row[1]
	}
	want := make(map[string]string)
	for _, value := range constants(t, "CloseCode") {
		n, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		want[value] = string(wire.CloseCode(n).Code())
	}
	if !maps.Equal(got, want) {
		t.Errorf("SPEC.md has %v, code.go has %v", got, want)
	}
}

func TestTheSpecificationListsEveryErrorCode(t *testing.T) {
	var got, want []string
	for _, row := range table(t, "## Error codes") {
		got = append(got, row[0])
	}
	for _, value := range constants(t, "Code") {
		word, err := strconv.Unquote(value)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, word)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("SPEC.md has %v, code.go has %v", got, want)
	}
}

func TestTheSpecificationNamesTheLimits(t *testing.T) {
	got := make(map[string]string)
	for _, row := range table(t, "## Limits") {
		got[row[0]] = row[1]
	}
	for what, want := range map[string]int64{
		"frame from a machine":                               wire.MaxUp,
		"frame from a gateway":                               wire.MaxDown,
		"`apiKey`, `sessionToken`":                           wire.MaxKey,
		"any other string field of `auth` and `system_info`": wire.MaxField,
		"time to authenticate":                               int64(wire.AuthTimeout.Seconds()),
		"heartbeat":                                          int64(wire.Heartbeat.Seconds()),
	} {
		if n, _, _ := strings.Cut(got[what], " "); n != strconv.FormatInt(want, 10) {
			t.Errorf("%s: SPEC.md says %q, the code %d", what, got[what], want)
		}
	}
	if want := "0 to " + strconv.FormatInt(wire.MaxSeq, 10); got["integers"] != want {
		t.Errorf("integers: SPEC.md says %q, the code %q", got["integers"], want)
	}
}

// table returns the rows of the first table behind a heading of SPEC.md.
func table(t *testing.T, heading string) [][]string {
	t.Helper()
	spec, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(spec), "\n"+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var rows [][]string
	for line := range strings.Lines(section) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	if len(rows) < 3 {
		t.Fatalf("SPEC.md has no table behind %q", heading)
	}
	return rows[2:] // the head and the line below it
}

// constants returns the values of all constants of a type in code.go, so that none is forgotten
// here.
func constants(t *testing.T, typeName string) (values []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "code.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for node := range ast.Preorder(file) {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			continue
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == typeName {
			values = append(values, spec.Values[0].(*ast.BasicLit).Value)
		}
	}
	return values
}
