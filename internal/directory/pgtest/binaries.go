package pgtest

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var errMissing = errors.New("PostgreSQL is not installed: install the Debian package postgresql, or put initdb and postgres into PATH")

// Binary is the path of one of PostgreSQL's programs, such as psql or pg_basebackup.
func Binary(t testing.TB, name string) string {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// binaries finds the folder of a server's programs. Debian keeps them out of PATH, a folder for each
// version.
func binaries() (string, error) {
	places, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", fmt.Errorf("looking for PostgreSQL: %w", err)
	}
	slices.SortFunc(places, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		places = append(places, strings.TrimSpace(string(out)))
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		places = append(places, filepath.Dir(path))
	}
	for _, dir := range places {
		if isThere(filepath.Join(dir, "initdb")) && isThere(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", errMissing
}

// version is the number in /usr/lib/postgresql/NUMBER/bin.
func version(dir string) float64 {
	n, _ := strconv.ParseFloat(filepath.Base(filepath.Dir(dir)), 64)
	return n
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
