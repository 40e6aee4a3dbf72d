package broker

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unicode/utf8"
)

func FuzzSubjectsAndIDsComeBack(f *testing.F) {
	f.Add("mch_abc", "acc", "id")
	f.Add("*", ">", "a:b%zz\r\n")
	f.Add("", "a.b", "")
	f.Fuzz(func(t *testing.T, machine, account, id string) {
		for _, to := range []Target{{Machine: machine}, {Account: account}, {}} {
			got, ok := parseTarget(to.suffix())
			if !ok || got != to {
				t.Errorf("target %+v came back as %+v, %t", to, got, ok)
			}
			if len(id) <= maxID {
				if got := publisherID(messageID(to.suffix(), id)); got != id {
					t.Errorf("id %q came back as %q", id, got)
				}
			}
		}
	})
}

func FuzzDecodeNeverPanics(f *testing.F) {
	f.Add("fl.abcdefgh.m.DLNI0", []byte(`"x"`), "m.DLNI0:a", "60")
	f.Add("fl.abcdefgh.lease.DLNI0", []byte(`{"node":"n"}`), "", "")
	f.Add("fl.abcdefgh.revoke", []byte(`{"kind":"key","id":"x"}`), "", "never")
	f.Add("fl.abcdefgh.all", []byte(`null`), ":%", "-1")
	f.Fuzz(func(t *testing.T, subject string, data []byte, header, ttl string) {
		r := record{subject: subject, seq: 1, at: time.Now(), id: publisherID(header), ttl: parseTTL(ttl), data: data}
		if r.ttl < 0 || len(r.id) > maxID {
			t.Errorf("ttl %v, id %q", r.ttl, r.id)
		}
		e, err := decode(r, "abcdefgh")
		if err != nil || e == nil || e.Kind != Data {
			return
		}
		if string(e.Data()) != string(data) {
			t.Errorf("data %q came back as %q", data, e.Data())
		}
		if json.Valid(data) && utf8.ValidString(r.id) {
			for _, bare := range []bool{true, false} {
				if p := e.Frame(bare).Payload(); !json.Valid(p) {
					t.Errorf("the frame is %q", p)
				}
			}
		}
	})
}

func FuzzAWitnessIsBelievedOnlyWhole(f *testing.F) {
	f.Add([]byte(`{"epoch":"abcdefgh","last":1,"boot":"b","clean":true,"self":"inode 1"}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, witnessName), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if w, err := readWitness(dir); err == nil {
			t.Errorf("a file that does not know itself was believed: %+v", w)
		}
	})
}
