package embedded

import (
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/directorytest"
)

func TestARestartedServerIsFollowedAgain(t *testing.T) {
	s := newStore(t)
	d := openOn(t, dial(t, s))
	acc := addAccount(t, d, "key")
	events := directorytest.Watch(t, d.Machines().Watch)
	events.Expect(t, directory.Event{Kind: directory.Live})
	stop(t, s, d)
	events.Expect(t, directory.Event{Kind: directory.Lost})
	expectVerdicts(t, d.Machines().Check(t.Context(), []string{"unknown"}), directory.Unavailable)
	start(t, s, d)
	other := openOn(t, dial(t, s))
	id := enrolled(t, other, directory.Enrolment{AccountID: acc, Digest: directory.Key("key").Digest()})
	expectVerdicts(t, d.Machines().Check(t.Context(), []string{id}), directory.Found)
	if err := other.Machines().Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	events.Expect(t, directory.Event{Kind: directory.Gone, ID: id})
}

func TestAStorePutBackKnowsNothingOfWhatCameLater(t *testing.T) {
	s := newStore(t)
	d := openOn(t, dial(t, s))
	acc := addAccount(t, d, "key")
	e := directory.Enrolment{AccountID: acc, Digest: directory.Key("key").Digest()}
	before := enrolled(t, d, e)
	backup := t.TempDir()
	stop(t, s, d)
	copyTree(t, backup, s.dir)
	start(t, s, d)
	e.Info = &directory.MachineInfo{HWID: "later"}
	later := enrolled(t, d, e)
	if err := d.Machines().Delete(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	stop(t, s, d)
	copyTree(t, s.dir, backup)
	start(t, s, d)
	expectVerdicts(t, d.Machines().Check(t.Context(), []string{before, later}), directory.Found, directory.NotFound)
	if anew := enrolled(t, d, e); anew == later {
		t.Error("the new machine has the old id")
	}
}

func TestADirectoryDoesNotOpenWithoutItsStore(t *testing.T) {
	s := newStore(t)
	l := newLine(s)
	js := dial(t, l)
	openOn(t, js).Close()
	l.fallSilent(true)
	defer l.fallSilent(false)
	c := Config{JetStream: js, Installation: installation, Logger: quietLogger()}
	start := time.Now()
	if _, err := Open(t.Context(), c); err == nil {
		t.Error("it opened on a silent store")
	}
	if d := time.Since(start); d > 2*openTimeout {
		t.Errorf("it took %v to say so", d)
	}
}

// stop stops the server and returns when the directory knows.
func stop(t *testing.T, s *store, d *Directory) {
	t.Helper()
	s.shutdown()
	for _, b := range []*bucket{d.accounts.bucket, d.machines.bucket} {
		for b.isLive() {
			b.mu.Lock()
			changed := b.changed
			b.mu.Unlock()
			if b.isLive() {
				<-changed
			}
		}
	}
}

// start starts the server and returns when the directory follows it again.
func start(t *testing.T, s *store, d *Directory) {
	t.Helper()
	s.start(t)
	for _, b := range []*bucket{d.accounts.bucket, d.machines.bucket} {
		if err := b.waitLive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
