package fleetline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// FileState keeps a State in the file of this name, readable by its owner alone. A save replaces
// the file in one step: after a power cut the file is the old one or the new one. Folders on the
// way are made.
type FileState string

// Load reads the file; a missing or empty one is the zero State.
func (f FileState) Load() (State, error) {
	b, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return State{}, nil
	}
	if err != nil {
		return State{}, fmt.Errorf("reading state: %w", err)
	}
	var s State
	if json.Unmarshal(b, &s) != nil { // the cause may quote the key
		return State{}, fmt.Errorf("reading state: %s is not a state file", string(f))
	}
	return s, nil
}

// Save writes the file.
func (f FileState) Save(s State) error {
	b, err := json.MarshalIndent(s, "", "\t")
	if err == nil {
		err = f.replace(append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("writing state: %w", err)
	}
	return nil
}

func (f FileState) replace(content []byte) error {
	dir := filepath.Dir(string(f))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, filepath.Base(string(f))+".*.tmp") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), string(f))
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	syncFolder(dir)
	return nil
}

// syncFolder makes the rename last. Not every system can; the file is whole either way.
func syncFolder(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}
