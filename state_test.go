package fleetline

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func TestAFileStateComesBackAsItWas(t *testing.T) {
	f := FileState(filepath.Join(t.TempDir(), "a", "b", "state.json"))
	if s, err := f.Load(); err != nil || s != (State{}) {
		t.Fatalf("a missing file is %v, %v", s, err)
	}
	for _, want := range []State{
		{APIKey: "flk_key", HWID: "hw", MachineID: "mch_1", Position: Position{"e1", 1<<53 - 1}},
		{HWID: "hw", DeletedWith: digest("flk_key")},
		{},
	} {
		if err := f.Save(want); err != nil {
			t.Fatal(err)
		}
		if got, err := f.Load(); err != nil || got != want {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

func TestAWipedKeyIsNotInTheFile(t *testing.T) {
	f := FileState(filepath.Join(t.TempDir(), "state.json"))
	for _, s := range []State{{APIKey: "flk_key"}, {DeletedWith: digest("flk_key")}} {
		if err := f.Save(s); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(string(f))
	if err != nil || strings.Contains(string(b), "flk_") {
		t.Errorf("the file holds %s, %v", b, err)
	}
	if left, _ := filepath.Glob(string(f) + "*"); len(left) != 1 {
		t.Errorf("beside the state there are %v", left)
	}
}

func TestAStateFileIsItsOwnersAlone(t *testing.T) {
	f := FileState(filepath.Join(t.TempDir(), "new", "state.json"))
	if err := os.MkdirAll(filepath.Dir(string(f)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(string(f), nil, 0o644); err != nil { // an empty file is no state yet
		t.Fatal(err)
	}
	if s, err := f.Load(); err != nil || s != (State{}) {
		t.Fatalf("an empty file is %v, %v", s, err)
	}
	if err := f.Save(State{APIKey: "flk_key"}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(string(f))
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
}

func TestABrokenStateFileIsRefusedAndNotQuoted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	for _, content := range []string{`{"apiKey":"flk_key"`, `{"apiKey":{"flk_key":1}}`, `flk_key`} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Connect(t.Context(), "ws://gateway.test", Config{State: FileState(path)})
		if err == nil || containsSecret(err.Error()) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", content, err)
		}
	}
}

func TestAFileIsWholeWheneverItIsRead(t *testing.T) {
	f := FileState(filepath.Join(t.TempDir(), "state.json"))
	if err := f.Save(State{HWID: "hw"}); err != nil {
		t.Fatal(err)
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		for seq := range uint64(100) {
			if err := f.Save(State{HWID: "hw", Position: Position{"e", seq}}); err != nil {
				t.Error(err)
			}
		}
	})
	for range 1000 {
		if s, err := f.Load(); err != nil || s.HWID != "hw" {
			t.Errorf("read %v, %v", s, err)
		}
	}
	writer.Wait()
}

func TestASaveThatFailsLeavesTheOldStateAndNoRubbish(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state.json")
	if err := os.MkdirAll(filepath.Join(dir, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := FileState(dir).Save(State{}); err == nil {
		t.Error("a folder was replaced by a state file")
	}
	if left, _ := filepath.Glob(dir + ".*"); len(left) != 0 {
		t.Errorf("rubbish: %v", left)
	}
}

func TestAStateDoesNotPrintItsKey(t *testing.T) {
	s := State{APIKey: "flk_key", MachineID: "mch_1"}
	for _, form := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(form, s); strings.Contains(got, "flk_") {
			t.Errorf("%s prints %s", form, got)
		}
	}
}

func TestTheSystemIsDescribed(t *testing.T) {
	got := fillInfo(MachineInfo{})
	if got.Hostname == "" || got.OS != runtime.GOOS || got.Arch != runtime.GOARCH || got.CPUCores == 0 || got.RAMBytes < 1<<20 || got.HWID != "" || got.BootID == "" {
		t.Errorf("got %+v", got)
	}
	said := MachineInfo{Hostname: "h", OS: "o", Arch: "a", CPUCores: 1, RAMBytes: 2, HWID: "w", Version: "v", BootID: "b"}
	if got := fillInfo(said); got != said {
		t.Errorf("what was said became %+v", got)
	}
	if one, other := fillInfo(MachineInfo{HWID: "a"}), fillInfo(MachineInfo{HWID: "b"}); one.BootID == other.BootID || one != fillInfo(MachineInfo{HWID: "a"}) {
		t.Errorf("the boot id is %s and %s", one.BootID, other.BootID)
	}
}
