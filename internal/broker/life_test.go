package broker

import (
	"bufio"
	"context"
	"encoding/json"
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

func hasBreak(entries []*Entry) bool {
	return slices.ContainsFunc(entries, func(e *Entry) bool { return e.Kind == Break })
}

// crash ends the broker as a killed process would: no mark of a clean stop is left.
func (h *heard) crash() {
	h.beginClosing()
	h.tail.wait()
	h.closed = func() error { return nil }
	if err := h.abandon(); err != nil {
		h.t.Fatalf("crash: %v", err)
	}
	h.stop()
}

func TestACleanStopKeepsTheLife(t *testing.T) {
	c := testConfig(t.TempDir())
	c.bootID = "one"
	b := open(t, c)
	r := b.publish(Message{Data: text("x")})
	b.stop()
	c.bootID = "two"
	b = open(t, c)
	if b.Epoch() != r.Epoch || b.Last() < r.Seq {
		t.Errorf("got life %s up to %d, was %s up to %d", b.Epoch(), b.Last(), r.Epoch, r.Seq)
	}
	if after, recovered := b.Resolve(r.Epoch, r.Seq); after != r.Seq || !recovered {
		t.Errorf("Resolve: got %d, %t", after, recovered)
	}
}

func TestAKilledProcessKeepsTheLife(t *testing.T) {
	c := testConfig(t.TempDir())
	b := open(t, c)
	r := b.publish(Message{Data: text("x")})
	b.crash()
	b = open(t, c)
	if b.Epoch() != r.Epoch || b.Last() < r.Seq {
		t.Errorf("got life %s up to %d, was %s up to %d", b.Epoch(), b.Last(), r.Epoch, r.Seq)
	}
}

func TestAnotherBootWithoutACleanStopBeginsANewLife(t *testing.T) {
	c := testConfig(t.TempDir())
	c.bootID = "one"
	b := open(t, c)
	r := b.publish(Message{Data: text("old")})
	b.crash()
	c.bootID = "two"
	b = open(t, c)
	if b.Epoch() == r.Epoch {
		t.Fatal("the life went on")
	}
	next := b.publish(Message{Data: text("new")})
	if next.Seq <= r.Seq {
		t.Errorf("the new life gave out %d again, the old one had %d", next.Seq, r.Seq)
	}
	got := b.readAll(Target{}, r.Seq-1)
	if want := []string{`"old"`, `"new"`}; !slices.Equal(got, want) {
		t.Errorf("over both lives: got %v, want %v", got, want)
	}
}

func TestAnotherBootKeepsTheLifeIfEveryPublishWasSynced(t *testing.T) {
	c := testConfig(t.TempDir())
	c.bootID, c.SyncAlways = "one", true
	b := open(t, c)
	r := b.publish(Message{Data: text("x")})
	b.crash()
	c.bootID, c.SyncAlways = "two", false
	b = open(t, c)
	if b.Epoch() != r.Epoch {
		t.Error("a new life began")
	}
	b.crash()
	c.bootID, c.SyncAlways = "three", true
	if b = open(t, c); b.Epoch() == r.Epoch {
		t.Error("what the last run did not sync was trusted")
	}
}

func TestAStoreWithoutItsWitnessBeginsANewLife(t *testing.T) {
	c := testConfig(t.TempDir())
	b := open(t, c)
	epoch := b.Epoch()
	b.stop()
	if err := os.Remove(filepath.Join(c.Dir, witnessName)); err != nil {
		t.Fatal(err)
	}
	if b = open(t, c); b.Epoch() == epoch {
		t.Error("the life went on")
	}
}

func TestAStorePutBackAloneBeginsANewLife(t *testing.T) {
	c := testConfig(t.TempDir())
	b := open(t, c)
	early := b.publish(Message{Data: text("early")})
	b.stop()
	saved := filepath.Join(t.TempDir(), "saved")
	copyTree(t, filepath.Join(c.Dir, "log"), saved)
	b = open(t, c)
	lost := b.publish(Message{Data: text("lost"), ID: "again"})
	b.stop()
	replaceTree(t, saved, filepath.Join(c.Dir, "log"))
	b = open(t, c)
	b.mustBeAfterCopy(early, lost)
}

func TestAWholeFolderPutBackBeginsANewLife(t *testing.T) {
	c := testConfig(t.TempDir())
	b := open(t, c)
	early := b.publish(Message{Data: text("early")})
	b.stop()
	saved := filepath.Join(t.TempDir(), "saved")
	copyTree(t, c.Dir, saved)
	b = open(t, c)
	lost := b.publish(Message{Data: text("lost"), ID: "again"})
	b.stop()
	replaceTree(t, saved, c.Dir)
	b = open(t, c)
	b.mustBeAfterCopy(early, lost)
}

// mustBeAfterCopy checks a log that was put back to a state that has early and not lost.
func (h *heard) mustBeAfterCopy(early, lost Receipt) {
	h.t.Helper()
	if h.Epoch() == early.Epoch {
		h.t.Fatal("the life went on")
	}
	after, recovered := h.Resolve(lost.Epoch, lost.Seq)
	if after >= lost.Seq || after < early.Seq || recovered {
		h.t.Errorf("a lost position: got %d, %t; want one from %d to below %d, not recovered", after, recovered, early.Seq, lost.Seq)
	}
	if at, recovered := h.Resolve(early.Epoch, early.Seq); at != early.Seq || recovered {
		h.t.Errorf("a position within the earlier life: got %d, %t; want %d, not recovered", at, recovered, early.Seq)
	}
	r := h.publish(Message{Data: text("new"), ID: "again"})
	if r.Duplicate || r.Seq <= after {
		h.t.Errorf("a message that was lost and is published again: got %+v", r)
	}
	if got, want := h.readAll(Target{}, early.Seq-1), []string{`"early"`, `"new"`}; !slices.Equal(got, want) {
		h.t.Errorf("from the early message on: got %v, want %v", got, want)
	}
	if got, want := h.readAll(Target{}, after), []string{`"new"`}; !slices.Equal(got, want) {
		h.t.Errorf("from the cut position on: got %v, want %v", got, want)
	}
}

func TestAnIDIsRememberedInANewLife(t *testing.T) {
	c := testConfig(t.TempDir())
	c.bootID = "one"
	b := open(t, c)
	m := Message{Target: Target{Machine: "m"}, Data: text("x"), ID: "survivor"}
	first := b.publish(m)
	b.crash()
	c.bootID = "two"
	b = open(t, c)
	if r := b.publish(m); !r.Duplicate || r.Seq != first.Seq || r.Epoch != first.Epoch {
		t.Errorf("got %+v, first was %+v", r, first)
	}
	m.Target.Machine = "another"
	if r := b.publish(m); r.Duplicate {
		t.Errorf("another target: got %+v", r)
	}
}

func TestPositionsAreResolvedAsWritten(t *testing.T) {
	c := testConfig(t.TempDir())
	c.bootID = "one"
	b := open(t, c)
	old := b.publish(Message{Data: text("old")})
	b.crash()
	c.bootID = "two"
	b = open(t, c)
	now := b.publish(Message{Data: text("now")})
	b.upTo(now.Seq)
	was, _ := b.lives.find(old.Epoch)
	for _, test := range []struct {
		name      string
		epoch     string
		seq       uint64
		after     uint64
		recovered bool
	}{
		{"a position of this life", now.Epoch, now.Seq, now.Seq, true},
		{"this life, but the position lies in the one before", now.Epoch, old.Seq, old.Seq, true},
		{"the life before, within", old.Epoch, old.Seq, old.Seq, false},
		{"the life before, beyond its end", old.Epoch, was.End + 1000, was.End, false},
		{"an unknown life", "aaaaaaaa", now.Seq, b.First() - 1, false},
		{"no life", "", 0, b.First() - 1, false},
	} {
		if after, recovered := b.Resolve(test.epoch, test.seq); after != test.after || recovered != test.recovered {
			t.Errorf("%s: got %d, %t; want %d, %t", test.name, after, recovered, test.after, test.recovered)
		}
	}
	if after, recovered := b.Resolve(now.Epoch, 1<<52); after < now.Seq || after > b.end() || recovered {
		t.Errorf("beyond the end: got %d, %t", after, recovered)
	}
}

func TestALogThatEndsBeforeItsTailBeginsANewLife(t *testing.T) {
	b := open(t, testConfig(t.TempDir()))
	r := b.publish(Message{Data: text("lost")})
	b.upTo(r.Seq)
	if err := b.engine.js.DeleteStream(t.Context(), b.lives.current.Load().stream()); err != nil {
		t.Fatal(err)
	}
	b.until("a break", hasBreak)
	if b.Epoch() == r.Epoch {
		t.Error("the life went on")
	}
	if _, recovered := b.Resolve(r.Epoch, r.Seq); recovered {
		t.Error("a lost position counts as recovered")
	}
	next := b.publish(Message{Data: text("new")})
	b.until("the next message", func(e []*Entry) bool { return e[len(e)-1].Kind == Data && e[len(e)-1].Seq == next.Seq })
}

func TestAnAgedLifeIsRemovedAndItsPositionsAreStillUnderstood(t *testing.T) {
	c := testConfig(t.TempDir())
	c.bootID = "one"
	b := open(t, c)
	old := b.publish(Message{Data: text("old")})
	b.crash()
	c.bootID = "two"
	b = open(t, c)
	was, _ := b.lives.find(old.Epoch)
	stream, err := b.engine.js.Stream(t.Context(), was.stream())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the aged life to be removed", func() bool {
		f, _ := b.lives.find(old.Epoch)
		return f.gone && b.First() > was.End
	})
	if after, recovered := b.Resolve(old.Epoch, old.Seq-1); after != was.End || recovered {
		t.Errorf("Resolve: got %d, %t; want %d, not recovered", after, recovered, was.End)
	}
	got := b.Read(t.Context(), []Request{{After: old.Seq - 1, MaxBytes: 1}})[0]
	if got.Err != nil || got.Gap != was.End || got.Reached < was.End || len(got.Entries) != 0 {
		t.Errorf("Read: got %+v, want a gap up to %d", got, was.End)
	}
}

func TestADeathInBetweenTwoLivesIsFinishedByTheNextStart(t *testing.T) {
	c := testConfig(t.TempDir())
	b := open(t, c)
	r := b.publish(Message{Data: text("x")})
	now := *b.lives.current.Load()
	last, _, err := b.lives.seal(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	b.crash()
	b = open(t, c)
	if b.Epoch() == r.Epoch || b.publish(Message{Data: text("y")}).Seq <= last {
		t.Error("died after sealing: the sealed life went on")
	}
	// Now the list names a life whose stream was never made.
	now = *b.lives.current.Load()
	end, _, err := b.lives.seal(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	listed := append(b.lives.all(), life{Epoch: "neverwas", First: end + 1})
	listed[len(listed)-2].End, listed[len(listed)-2].Ended = end, true
	b.lives.mu.Lock()
	err = b.lives.save(t.Context(), listed)
	b.lives.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	b.crash()
	b = open(t, c)
	if next := b.publish(Message{Data: text("z")}); next.Epoch != "neverwas" || next.Seq <= end {
		t.Errorf("died before the stream was made: got %+v after %d", next, end)
	}
}

func TestEverythingAcknowledgedIsThereAfterAKill(t *testing.T) {
	dir := t.TempDir()
	var epoch string
	var acked []Receipt
	for range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), childVariable+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 2000 && lines.Scan(); n++ {
			seq, of, _ := strings.Cut(lines.Text(), " ")
			at, err := strconv.ParseUint(seq, 10, 64)
			if err != nil {
				t.Fatalf("the child says %q", lines.Text())
			}
			acked, epoch = append(acked, Receipt{Seq: at, Epoch: of}), of
		}
		_ = cmd.Process.Kill()
		for lines.Scan() { // what was acknowledged and not read yet
		}
		_ = cmd.Wait()
	}
	b := open(t, testConfig(dir))
	if b.Epoch() != epoch {
		t.Errorf("a kill began a new life")
	}
	kept := make(map[uint64]bool)
	for after := uint64(0); ; {
		r := b.Read(t.Context(), []Request{{Target{Machine: "m"}, after, 1 << 20}})[0]
		if r.Err != nil || r.Gap != 0 {
			t.Fatalf("Read: gap %d, %v", r.Gap, r.Err)
		}
		for _, e := range r.Entries {
			kept[e.Seq] = true
		}
		if r.Reached == after || len(r.Entries) == 0 {
			break
		}
		after = r.Reached
	}
	for _, r := range acked {
		if !kept[r.Seq] || r.Epoch != epoch {
			t.Fatalf("%d of life %s was acknowledged and is not there", r.Seq, r.Epoch)
		}
	}
	t.Logf("%d acknowledged messages are there", len(acked))
}

const childVariable = "FLEETLINE_BROKER_TEST_CHILD"

// publishUntilKilled is what the child process does.
func publishUntilKilled(dir string) error {
	b, err := Open(context.Background(), Config{Dir: dir, MaxBytes: 256 * mib})
	if err != nil {
		return err
	}
	for {
		r, err := b.Publish(context.Background(), Message{Target: Target{Machine: "m"}, Data: json.RawMessage(`"x"`)})
		if err != nil {
			return err
		}
		if _, err := fmt.Println(r.Seq, r.Epoch); err != nil {
			return err
		}
	}
}

// readAll reads forward to the end, from the window where it reaches back.
func (h *heard) readAll(t Target, after uint64) []string {
	h.t.Helper()
	h.upTo(h.end())
	got := []string{}
	for {
		entries, reached, ok := h.Recent(t, after, 1<<20, nil)
		if ok && reached == after {
			return got
		}
		if !ok {
			r := h.Read(h.t.Context(), []Request{{t, after, 1 << 20}})[0]
			if r.Err != nil || r.Gap != 0 {
				h.t.Fatalf("reading after %d: gap %d, %v", after, r.Gap, r.Err)
			}
			entries, reached = r.Entries, r.Reached
		}
		got, after = append(got, datas(entries)...), reached
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// replaceTree puts a copy in the place of what is there, as restoring a backup does.
func replaceTree(t *testing.T, from, to string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(to), os.CopyFS(to, os.DirFS(from))); err != nil {
		t.Fatal(err)
	}
}
