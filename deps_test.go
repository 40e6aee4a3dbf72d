package fleetline_test

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/fleetline/fleetline"

// storeys says how high each room lies. A room imports only rooms of storeys below its own, never a
// neighbour. The empty name is the root package, the SDK.
var storeys = map[string]int{
	"wire": 0, "api": 0, "internal/hashed": 0, "internal/ring": 0,
	"internal/socket": 1, "internal/directory": 1, "internal/token": 1, "internal/limit": 1,
	"internal/session": 2, "internal/broker": 2, "": 2,
	"internal/gateway": 3, "internal/admin": 3, "internal/bench": 3, "internal/terminal": 3,
	"internal/server": 4,
	"cmd":             5, "fleetlinetest": 5, "clients": 5,
}

// source is one file that is no test, for whatever system it is built.
type source struct {
	path    string // inside the module, with slashes
	room    string
	imports []string
}

func TestARoomImportsOnlyStoreysBelowItsOwn(t *testing.T) {
	for _, s := range sources(t) {
		for _, imported := range s.imports {
			below, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			other, ok := roomOf(strings.TrimPrefix(below, "/"))
			if !ok {
				t.Errorf("%s imports %s, which lies in no room: give it a storey", s.path, imported)
			} else if other != s.room && storeys[other] >= storeys[s.room] {
				t.Errorf("%s imports %s: storey %d may not import storey %d", s.path, imported, storeys[s.room], storeys[other])
			}
		}
	}
}

func TestWireAndAPINeedOnlyTheStandardLibrary(t *testing.T) {
	for _, s := range sources(t) {
		for _, imported := range s.imports {
			outside := strings.Contains(imported, ".") && !within(imported, module+"/"+s.room)
			if (s.room == "wire" || s.room == "api") && outside {
				t.Errorf("%s imports %s, which is not in the standard library", s.path, imported)
			}
		}
	}
}

func TestOnlyTheBrokerAndTheEmbeddedDirectoryKnowNATS(t *testing.T) {
	for _, s := range sources(t) {
		may := s.room == "internal/broker" || within(s.path, "internal/directory/embedded")
		for _, imported := range s.imports {
			if !may && (within(imported, "github.com/nats-io") || within(imported, "github.com/synadia-io")) {
				t.Errorf("%s imports %s", s.path, imported)
			}
		}
	}
}

// A judge that shared code with a client would agree with its mistakes.
func TestTheJudgeOfClientsSharesOnlyTheWireWithThem(t *testing.T) {
	judges := 0
	for _, s := range sources(t) {
		if !within(s.path, "clients/conformance") || within(s.path, "clients/conformance/gosdk") {
			continue
		}
		judges++
		for _, imported := range s.imports {
			if within(imported, module) && imported != module+"/wire" {
				t.Errorf("%s imports %s", s.path, imported)
			}
		}
	}
	if judges == 0 {
		t.Error("no file of the judge was found")
	}
}

// A program that started a database of its own, or believed a stand-in, would be a bad joke.
func TestOnlyTestsImportWhatIsForTests(t *testing.T) {
	helpers := []string{"internal/directory/directorytest", "internal/directory/pgtest", "internal/directory/supabase/standin"}
	isHelper := func(name string) bool {
		return slices.ContainsFunc(helpers, func(h string) bool { return within(name, h) })
	}
	for _, h := range helpers {
		if _, err := fs.Stat(tree(), h); err != nil {
			t.Errorf("this rule is about a folder that is not there: %v", err)
		}
	}
	for _, s := range sources(t) {
		for _, imported := range s.imports {
			if isHelper(strings.TrimPrefix(imported, module+"/")) && !isHelper(s.path) {
				t.Errorf("%s is no test and imports %s", s.path, imported)
			}
		}
	}
}

// What users import must stay light: not even through somebody else may it bring the gateway along.
func TestUsersOfTheSDKGetNoneOfTheGateway(t *testing.T) {
	forbidden := []string{
		module + "/internal", "github.com/nats-io", "github.com/synadia-io", "github.com/jackc",
		"github.com/prometheus",
	}
	var stderr bytes.Buffer
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", ".", "./wire/...", "./api/...")
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	for dependency := range strings.Lines(string(out)) {
		dependency = strings.TrimSpace(dependency)
		if slices.ContainsFunc(forbidden, func(f string) bool { return within(dependency, f) }) {
			t.Errorf("the SDK, wire or api bring %s along", dependency)
		}
	}
}

// sources reads the imports of every file that is no test, of every system: a rule that binds only
// what is built here would not bind the rest.
func sources(t *testing.T) []source {
	t.Helper()
	var found []source
	err := fs.WalkDir(tree(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && isForeign(name):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		s, err := read(name)
		found = append(found, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatal("no source file was found")
	}
	return found
}

// isForeign tells folders that are not packages of this module.
func isForeign(dir string) bool {
	base := path.Base(dir)
	if dir != "." && strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules" {
		return true
	}
	_, err := fs.Stat(tree(), path.Join(dir, "go.mod"))
	return dir != "." && err == nil
}

func read(name string) (source, error) {
	s := source{path: name}
	dir := path.Dir(name)
	if dir == "." {
		dir = ""
	}
	var ok bool
	if s.room, ok = roomOf(dir); !ok {
		return s, fmt.Errorf("%s lies in no room: give it a storey", name)
	}
	text, err := fs.ReadFile(tree(), name)
	if err != nil {
		return s, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
	if err != nil {
		return s, err
	}
	for _, i := range file.Imports {
		imported, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return s, err
		}
		s.imports = append(s.imports, imported)
	}
	return s, nil
}

// roomOf finds the room that a folder of the module lies in.
func roomOf(dir string) (string, bool) {
	if dir == "" {
		return "", true
	}
	for room := range storeys {
		if room != "" && within(dir, room) {
			return room, true
		}
	}
	return "", false
}

// tree is the module: tests run in their package's folder, and this one's is the root.
func tree() fs.FS { return os.DirFS(".") }

func within(name, folder string) bool { return name == folder || strings.HasPrefix(name, folder+"/") }
