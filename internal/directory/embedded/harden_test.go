package embedded

import (
	"errors"
	"slices"
	"testing"

	"github.com/fleetline/fleetline/internal/directory"
)

func TestWhatMustLastIsOnTheDiskBeforeItIsPromised(t *testing.T) {
	var synced []string
	var broken error
	d := openOn(t, dial(t, newStore(t)), func(c *Config) {
		c.Sync = func(bucket string) error {
			synced = append(synced, bucket)
			return broken
		}
	})
	expect := func(what string, buckets ...string) {
		t.Helper()
		if !slices.Equal(synced, buckets) {
			t.Errorf("%s synced %v, want %v", what, synced, buckets)
		}
		synced = nil
	}
	account, key, err := d.Accounts().Add(t.Context(), "name")
	if err != nil {
		t.Fatal(err)
	}
	expect("adding an account", accountsBucket)
	id := enrolled(t, d, directory.Enrolment{AccountID: account.ID, Digest: key.Digest()})
	expect("enrolling")
	if _, err := d.Accounts().Rotate(t.Context(), account.ID, 0); err != nil {
		t.Fatal(err)
	}
	expect("rotating a key", accountsBucket)

	broken = errors.New("the disk is gone")
	if err := d.Machines().Delete(t.Context(), id); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("a deletion that may not last: %v", err)
	}
	expect("deleting a machine", machinesBucket)
	expectVerdicts(t, d.Machines().Check(t.Context(), []string{id}), directory.Deleted) // in force all the same
	broken = nil
	if err := d.Machines().Delete(t.Context(), id); err != nil {
		t.Errorf("deleting it again: %v", err)
	}
	expect("deleting it again", machinesBucket)
	if err := d.Accounts().DeleteAccount(t.Context(), account.ID); err != nil {
		t.Fatal(err)
	}
	expect("deleting an account", machinesBucket, accountsBucket, machinesBucket)
}
