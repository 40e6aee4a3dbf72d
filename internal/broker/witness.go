package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// witness is the small file beside the store that says how far the store had got. It lies outside
// the store, so a store put back to an earlier copy is found out by being shorter; and it names
// itself, so a folder put back as a whole is found out too: the copy of the witness is another file.
type witness struct {
	Epoch string `json:"epoch"`
	Last  uint64 `json:"last"`
	Boot  string `json:"boot"`
	// Clean: the store was stopped and synced after Last.
	Clean bool `json:"clean"`
	// Synced: every publish was synced when it was acknowledged.
	Synced bool `json:"synced"`
	// Self is the identity of the file this was written to.
	Self string `json:"self"`
}

// witness says how far the store of this run has got.
func (c Config) witness(epoch string, last uint64) witness {
	return witness{Epoch: epoch, Last: last, Boot: c.bootID, Synced: c.SyncAlways}
}

const (
	witnessName = "witness.json"
	lockName    = "lock"
)

// errNoWitness: there is none, or it cannot be believed.
var errNoWitness = errors.New("there is no witness of the last run")

// readWitness reads the witness that the last run left in dir.
func readWitness(dir string) (witness, error) {
	f, err := os.Open(filepath.Join(dir, witnessName))
	if errors.Is(err, fs.ErrNotExist) {
		return witness{}, errNoWitness
	} else if err != nil {
		return witness{}, fmt.Errorf("reading the witness: %w", err)
	}
	defer f.Close()
	self, err := identity(f)
	if err != nil {
		return witness{}, fmt.Errorf("identifying the witness: %w", err)
	}
	var w witness
	if err := json.NewDecoder(f).Decode(&w); err != nil {
		return witness{}, errNoWitness
	}
	if w.Self != self {
		return witness{}, errors.New("the witness of the last run is a copy: the data folder was put back or moved")
	}
	return w, nil
}

// write replaces the witness in dir, in the system's memory. A power failure may bring the one
// before back; that is why the first of a run is written with writeDurably: it takes back the clean
// stop.
func (w witness) write(dir string) error {
	if err := w.replace(dir); err != nil {
		return fmt.Errorf("writing the witness: %w", err)
	}
	return nil
}

// writeDurably is write, and the disk has it.
func (w witness) writeDurably(dir string) error {
	if err := w.write(dir); err != nil {
		return err
	}
	if err := errors.Join(syncFile(filepath.Join(dir, witnessName)), syncDir(dir)); err != nil {
		return fmt.Errorf("syncing the witness: %w", err)
	}
	return nil
}

// replace makes the file first, because only then its identity is known, fills it and renames it.
func (w witness) replace(dir string) error {
	temp := filepath.Join(dir, witnessName+".new")
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		if err = os.Remove(temp); err == nil {
			f, err = os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		}
	}
	if err != nil {
		return err
	}
	if err := errors.Join(w.fill(f), f.Close()); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(dir, witnessName))
}

func (w witness) fill(f *os.File) (err error) {
	if w.Self, err = identity(f); err != nil {
		return err
	}
	return json.NewEncoder(f).Encode(w)
}

// proves tells why the store, whose current life has this epoch and reaches up to last, may have
// lost acknowledged entries since w was written; nil if it has not.
func (w witness) proves(epoch string, last uint64, boot string) error {
	switch {
	case w.Epoch != epoch:
		return errors.New("the store is of another life than its witness")
	case w.Last > last:
		return fmt.Errorf("the store ends at %d but had reached %d", last, w.Last)
	case w.Clean, w.Synced, w.Boot != "" && w.Boot == boot:
		return nil
	}
	return errors.New("the system was restarted without a clean stop")
}

// lockDir takes dir for this process.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the data folder: %w", err)
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking the data folder: %w", err)
	}
	return f, nil
}
