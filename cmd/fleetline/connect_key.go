package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/fleetline/fleetline"
	"github.com/fleetline/fleetline/internal/terminal"
)

// keptKey is a machine's state that also keeps a key that was typed, or given in place of another
// one, once the gateway has accepted it. It goes with everything else when the machine is deleted.
type keptKey struct {
	place   place
	console *console
	// readmitted: a deletion that is remembered is not believed before the gateway says it again.
	readmitted bool

	mu      sync.Mutex
	last    fleetline.State // as read or written last
	failed  error           // of the last save
	typed   string
	offered string // the key to keep, once it is accepted
}

// Load reads the state.
func (k *keptKey) Load() (fleetline.State, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, err := k.place.Load()
	if err != nil {
		return s, err
	}
	if k.readmitted {
		s.DeletedWith = ""
	}
	if s != (fleetline.State{}) {
		k.last = s
	}
	return s, nil
}

// Save keeps the state, and the key beside it. Without a machine id there is nothing that a key
// belongs to: the machine was deleted, or is new.
func (k *keptKey) Save(s fleetline.State) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.MachineID != "" {
		s.APIKey = k.last.APIKey
	}
	k.last = s
	k.failed = k.place.Save(s)
	return k.failed
}

// key finds the key of now: the environment's, the one that was typed, or the stored one, as Load
// has read it. One that is given while another is stored takes its place: so a machine takes up a
// key that was rotated, and stays who it is.
func (k *keptKey) key(context.Context) (string, error) {
	given := k.console.setting("FLEETLINE_API_KEY")
	k.mu.Lock()
	defer k.mu.Unlock()
	k.offered = k.typed
	switch {
	case given != "":
		k.offered = ""
		if k.last.APIKey != "" {
			k.offered = given
		}
		return given, nil
	case k.typed != "":
		return k.typed, nil
	case k.last.APIKey != "":
		return k.last.APIKey, nil
	}
	return "", fleetline.ErrNoKey
}

// accepted keeps the key that the gateway has let the machine in with. A save that fails is told
// when the client makes the next one.
func (k *keptKey) accepted() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.offered != "" && k.offered != k.last.APIKey {
		k.last.APIKey = k.offered
		k.failed = k.place.Save(k.last)
	}
}

// notSaved is why the last save failed; nil if it did not.
func (k *keptKey) notSaved() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed
}

// usesStored tells whether the key is one that was kept at an earlier start.
func (k *keptKey) usesStored() bool {
	given := k.console.setting("FLEETLINE_API_KEY")
	k.mu.Lock()
	defer k.mu.Unlock()
	return given == "" && k.typed == "" && k.last.APIKey != ""
}

func (k *keptKey) ask(ctx context.Context, l terminal.Language) error {
	typed, err := k.console.askSecret(ctx, "  "+l.Say(terminal.WordAskKey))
	if err == nil && typed == "" {
		err = hinted{useError("%s", l.Say(terminal.WordNoKey)), l.Say(terminal.WordNoKeyAdvice)}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.typed = typed
	return err
}

// setting reads a setting of the environment anew: .env may have changed since the start. What was
// in the environment itself still wins over it.
func (c *console) setting(name string) string {
	isOwn := slices.ContainsFunc(c.environ, func(v string) bool {
		own, value, _ := strings.Cut(v, "=")
		return own == name && value != ""
	})
	if isOwn {
		return os.Getenv(name)
	}
	file, err := readDotEnv()
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err != nil {
		return os.Getenv(name) // somebody is writing it: as it was
	}
	return file[name]
}
