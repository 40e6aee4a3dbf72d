package directory

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestAKeyNeverShows(t *testing.T) {
	key := Key("flk_secret")
	var b bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(h).Info("key", "key", key)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&b, verb+verb, key, struct{ K Key }{key})
	}
	for _, form := range []string{"flk_secret", hex.EncodeToString([]byte(key)), strings.ToUpper(hex.EncodeToString([]byte(key)))} {
		if strings.Contains(b.String(), form) {
			t.Errorf("the key shows as %s", form)
		}
	}
}

func TestAnAccountOpensForItsDigestsOnly(t *testing.T) {
	a := Account{Digests: []Digest{Key("new").Digest(), Key("old").Digest()}}
	if !a.Opens(Key("old").Digest()) || !a.Opens(sha256.Sum256([]byte("new"))) {
		t.Error("a key of the account does not open it")
	}
	if a.Opens(Key("other").Digest()) || a.Opens(Digest{}) || (Account{}).Opens(Digest{}) {
		t.Error("another key opens it")
	}
}

func TestNotKnowingIsTheZeroVerdict(t *testing.T) {
	var accounts AccountAnswer
	var machines MachineAnswer
	if accounts.Verdict != Unavailable || machines.Verdict != Unavailable {
		t.Error("an answer that nobody gave says something")
	}
	for v, want := range map[Verdict]string{Unavailable: "unavailable", Found: "found", NotFound: "not found", Deleted: "deleted"} {
		if v.String() != want {
			t.Errorf("%d prints as %q, want %q", v, v, want)
		}
	}
}
