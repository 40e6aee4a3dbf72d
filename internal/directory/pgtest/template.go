package pgtest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// initdbArgs make a cluster that is quick to make and to copy.
var initdbArgs = []string{
	"-N", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-instructions", "--wal-segsize=1",
}

// fillData makes the server's data folder: initdb's own is kept among the user's caches and copied
// from then on, which takes a tenth of the time.
func (s *Server) fillData() error {
	kept, err := s.template()
	if err != nil {
		return s.initdb() // nowhere to keep it
	}
	if isThere(kept) {
		return copyTree(kept, s.data())
	}
	if err := s.initdb(); err != nil {
		return err
	}
	return keep(s.data(), kept)
}

func (s *Server) initdb() error {
	return s.run("initdb", append([]string{"-D", s.data()}, initdbArgs...)...)
}

// template names the copy that is kept, by everything that makes one differ from another.
func (s *Server) template() (string, error) {
	caches, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the caches: %w", err)
	}
	version, err := exec.Command(filepath.Join(s.bin, "initdb"), "--version").Output()
	if err != nil {
		return "", fmt.Errorf("asking initdb for its version: %w", err)
	}
	owner, err := ownerOf(s.dir)
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256(fmt.Append(nil, string(version), s.bin, owner, strings.Join(initdbArgs, " ")))
	return filepath.Join(caches, "fleetline-pgtest", fmt.Sprintf("%x", digest[:8])), nil
}

// keep puts a copy where it is looked for, whole or not at all: others may be doing the same.
func keep(data, kept string) error {
	parent := filepath.Dir(kept)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return fmt.Errorf("keeping what initdb made: %w", err)
	}
	work, err := os.MkdirTemp(parent, "making")
	if err != nil {
		return fmt.Errorf("keeping what initdb made: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	whole := filepath.Join(work, "data")
	if err := copyTree(data, whole); err != nil {
		return err
	}
	if err := os.Rename(whole, kept); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keeping what initdb made: %w", err)
	}
	return nil
}

// copyTree keeps owners and modes: PostgreSQL insists on them.
func copyTree(from, to string) error {
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("copying %s: %w\n%s", from, err, out)
	}
	return nil
}
