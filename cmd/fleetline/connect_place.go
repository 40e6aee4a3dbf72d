package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/fleetline/fleetline"
	"github.com/fleetline/fleetline/internal/terminal"
)

// place is where a machine's state is kept, and what a person is told of it.
type place struct {
	fleetline.StateStore
	what string
}

// place is one of its own for each gateway: a key is never shown to another one. A folder that was
// named, and a file that is there already, come before the keyring: one machine has one identity.
func (n *connectCmd) place(l terminal.Language) (place, error) {
	name := stateName(n.Server)
	if n.StateDir != "" {
		file := filepath.Join(n.StateDir, name+".json")
		return place{fleetline.FileState(file), file}, nil
	}
	config, err := os.UserConfigDir()
	file := filepath.Join(config, "fleetline", name+".json")
	if err == nil {
		if s, loadErr := fleetline.FileState(file).Load(); loadErr != nil || s != (fleetline.State{}) {
			return place{fleetline.FileState(file), file}, nil // a broken file is told when it is used
		}
	}
	ring := newKeyring(name)
	if ring.answers() {
		return place{ring, l.Say(terminal.WordInKeyring)}, nil
	}
	if err != nil {
		return place{}, wrongUse{errors.New(l.Say(terminal.WordNoFolder))}
	}
	return place{fleetline.FileState(file), l.Say(terminal.WordInFile, file)}, nil
}

// stateName makes a file name of a gateway's address.
func stateName(server string) string {
	if _, rest, ok := strings.Cut(server, "://"); ok {
		server = rest
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, strings.ToLower(strings.TrimRight(server, "/")))
}
