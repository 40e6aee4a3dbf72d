package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/fleetline/fleetline"
)

const (
	keyringService = "fleetline"
	// keyringWithin bounds every question to the keyring: one that is locked may wait for a person who
	// is not there.
	keyringWithin = 5 * time.Second
)

var errKeyringSilent = errors.New("the system keyring does not answer")

// keyringState keeps a machine's state in the system's keyring.
type keyringState struct {
	account string
	asking  chan struct{} // full while a question is not answered
}

func newKeyring(account string) *keyringState {
	return &keyringState{account: account, asking: make(chan struct{}, 1)}
}

// answers tries the keyring out: what is put into it must come back. Many systems have one that does
// not work, or none that is unlocked.
func (k *keyringState) answers() bool {
	if !hasKeyringBus() {
		return false
	}
	probe, want := k.account+" probe", rand.Text()
	got, err := k.ask(func() (string, error) {
		if err := keyring.Set(keyringService, probe, want); err != nil {
			return "", err
		}
		got, err := keyring.Get(keyringService, probe)
		return got, errors.Join(err, keyring.Delete(keyringService, probe))
	})
	return err == nil && got == want
}

// hasKeyringBus tells whether there can be a keyring. On systems where it is reached by D-Bus and no
// session bus is there, asking would start one.
func hasKeyringBus() bool {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" || os.Getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return true
	}
	run := os.Getenv("XDG_RUNTIME_DIR")
	_, err := os.Stat(filepath.Join(run, "bus"))
	return run != "" && err == nil
}

// Load reads the state; the zero State if there is none.
func (k *keyringState) Load() (fleetline.State, error) {
	text, err := k.ask(func() (string, error) { return keyring.Get(keyringService, k.account) })
	if errors.Is(err, keyring.ErrNotFound) {
		return fleetline.State{}, nil
	}
	var s fleetline.State
	if err == nil && json.Unmarshal([]byte(text), &s) != nil { // the cause may quote the key
		err = errors.New("what it holds is no state")
	}
	if err != nil {
		return fleetline.State{}, fmt.Errorf("reading state from the system keyring: %w", err)
	}
	return s, nil
}

// Save writes the state.
func (k *keyringState) Save(s fleetline.State) error {
	text, err := json.Marshal(s)
	if err == nil {
		_, err = k.ask(func() (string, error) { return "", keyring.Set(keyringService, k.account, string(text)) })
	}
	if err != nil {
		return fmt.Errorf("writing state to the system keyring: %w", err)
	}
	return nil
}

// ask waits for an answer as long as that is sensible. The library's calls cannot be ended: one that
// is never answered ends with the process, and no second one is made beside it.
func (k *keyringState) ask(question func() (string, error)) (string, error) {
	late := time.NewTimer(keyringWithin)
	defer late.Stop()
	type answer struct {
		text string
		err  error
	}
	answered := make(chan answer, 1)
	select {
	case k.asking <- struct{}{}:
	case <-late.C:
		return "", errKeyringSilent
	}
	go func() { // ends with the answer, or with the process
		text, err := question()
		<-k.asking
		answered <- answer{text, err}
	}()
	select {
	case a := <-answered:
		return a.text, a.err
	case <-late.C:
		return "", errKeyringSilent
	}
}
