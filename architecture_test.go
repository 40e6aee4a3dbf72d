package fleetline_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var testName = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")

// A promise whose test was renamed or dropped would go on being read as proved.
func TestEveryTestThatArchitectureNamesExists(t *testing.T) {
	page, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	have := testsOfTheModule(t)
	named := testName.FindAllStringSubmatch(string(page), -1)
	if len(named) < 30 {
		t.Fatalf("the page names %d tests: the table was not found", len(named))
	}
	for _, m := range named {
		if !strings.Contains(have, "func "+m[1]+"(") {
			t.Errorf("ARCHITECTURE.md names %s, which does not exist", m[1])
		}
	}
}

func testsOfTheModule(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
