package server_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/fleetlinetest"
	"github.com/fleetline/fleetline/internal/server"
)

func restoreTo(t *testing.T, dir string, backup []byte) error {
	t.Helper()
	return server.Restore(t.Context(), dir, bytes.NewReader(backup), slog.New(slog.DiscardHandler))
}

func TestARestoreBeginsANewLifeAndDeletesNobody(t *testing.T) {
	t.Parallel()
	g := fleetlinetest.Start(t)
	account, key := g.AddAccount("a")
	_, before := login(t, g.URL, withHWID(key, "before"))
	_, doomed := login(t, g.URL, withHWID(key, "doomed"))
	if err := g.API.DeleteMachine(t.Context(), doomed.text("machineId")); err != nil {
		t.Fatal(err)
	}
	ci, err := g.API.AddToken(t.Context(), api.NewToken{Name: "ci", Scopes: []api.Scope{api.ScopeRead}})
	if err != nil {
		t.Fatal(err)
	}
	kept := g.Publish(api.Target{Account: account}, `"kept"`)
	big := fmt.Sprintf("%q", strings.Repeat("x", 200<<10))
	for range 3 {
		g.Publish(api.Target{Machine: before.text("machineId")}, big) // several chunks
	}
	var backup bytes.Buffer
	if err := g.API.Backup(t.Context(), &backup); err != nil {
		t.Fatal(err)
	}
	_, after := login(t, g.URL, withHWID(key, "after"))
	lost := g.Publish(api.Target{Account: account}, `"lost"`)
	g.Stop()

	dir := filepath.Join(t.TempDir(), "restored")
	if err := restoreTo(t, dir, backup.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := restoreTo(t, dir, backup.Bytes()); !errors.Is(err, server.ErrNotEmpty) {
		t.Errorf("into a folder that is not empty: %v", err)
	}
	r := fleetlinetest.StartWith(t, fleetlinetest.Config{DataDir: dir})
	again := func(who frame, seq uint64, epoch string) frame {
		auth := withToken(who.text("sessionToken"))
		auth["machineId"], auth["lastSeq"], auth["epoch"] = who.text("machineId"), seq, epoch
		_, hello := login(t, r.URL, auth)
		return hello
	}
	hello := again(before, lost.Seq, lost.Epoch)
	if hello.text("machineId") != before.text("machineId") || hello["recovered"] != false || hello.text("epoch") == lost.Epoch {
		t.Errorf("a machine that was ahead of the backup comes back with its token: %v", hello)
	}
	if hello = again(before, uint64(hello["seq"].(float64)), hello.text("epoch")); hello["recovered"] != true {
		t.Errorf("it is told once: %v", hello)
	}
	if next := r.Publish(api.Target{Account: account}, `"new"`); next.Seq <= kept.Seq || next.Epoch == kept.Epoch {
		t.Errorf("a message after the restore: %+v, the last before was %+v", next, kept)
	}
	if _, hello = login(t, r.URL, withHWID(key, "before")); hello.text("machineId") != before.text("machineId") {
		t.Errorf("it comes back with its key as %v", hello)
	}
	if h, err := r.API.History(t.Context(), before.text("machineId"), 0, 0); err != nil || len(h.Messages) != 5 || string(h.Messages[0].Data) != `"kept"` {
		t.Errorf("what was kept: %d messages, %v", len(h.Messages), err)
	}
	// Enrolled after the backup: unknown here, and not told that it was deleted.
	unknown := withToken(after.text("sessionToken"))
	unknown["machineId"] = after.text("machineId")
	if got := refused(t, r.URL, unknown); strings.Contains(got, "deleted") || strings.Contains(got, "4500") {
		t.Errorf("a machine that the backup does not know is told: %s", got)
	}
	if _, hello = login(t, r.URL, withHWID(key, "after")); hello.text("machineId") == "" {
		t.Errorf("it comes back with its key as %v", hello)
	}
	if got := refused(t, r.URL, withToken(doomed.text("sessionToken"))); got != "machine_deleted 4500" {
		t.Errorf("a machine that was deleted before the backup: %s", got)
	}
	reader, err := api.NewClient(r.AdminURL, string(ci.Secret))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if _, err := reader.Accounts(t.Context()); err != nil {
		t.Errorf("an operators' token after the restore: %v", err)
	}
}

func TestWhatIsNoWholeBackupOfThisFormatIsRefusedAndLeavesNothing(t *testing.T) {
	t.Parallel()
	g := fleetlinetest.Start(t)
	var buf bytes.Buffer
	if err := g.API.Backup(t.Context(), &buf); err != nil {
		t.Fatal(err)
	}
	whole := buf.Bytes()
	cases := map[string][]byte{
		"nothing":           nil,
		"no tar":            []byte("hello"),
		"a quarter":         whole[:len(whole)/4],
		"half":              whole[:len(whole)/2],
		"almost all":        whole[:len(whole)-3000],
		"without its end":   withoutLast(t, whole),
		"of another format": bytes.Replace(whole, []byte(`"format":1`), []byte(`"format":2`), 1),
	}
	for name, backup := range cases {
		dir := t.TempDir()
		err := restoreTo(t, dir, backup)
		left, _ := os.ReadDir(dir)
		if err == nil || len(left) > 0 {
			t.Errorf("%s: got %v, and %d files are left", name, err, len(left))
		}
		if name == "of another format" && (err == nil || !strings.Contains(err.Error(), "format 2")) {
			t.Errorf("%s: the error does not say so: %v", name, err)
		}
	}
}

// withoutLast leaves the last entry out.
func withoutLast(t *testing.T, backup []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	in, w := tar.NewReader(bytes.NewReader(backup)), tar.NewWriter(&out)
	var last *tar.Header
	var data []byte
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if last != nil {
			if err := w.WriteHeader(last); err != nil {
				t.Fatal(err)
			}
			w.Write(data)
		}
		last = h
		if data, err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
