package broker

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestRevocationsAreReadWholeAfterAReopen(t *testing.T) {
	c := testConfig(t.TempDir())
	b := open(t, c)
	at := time.Now().UTC().Truncate(time.Millisecond)
	var want []Revocation
	for i := range 1500 {
		kind := []RevocationKind{RevokedMachine, RevokedAccount, RevokedKey}[i%3]
		r := Revocation{Kind: kind, ID: fmt.Sprint("id.*>", i), At: at, Until: at.Add(time.Hour)}
		if err := b.Revoke(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		want = append(want, r)
	}
	again := want[0]
	again.Until = again.Until.Add(time.Hour)
	if err := b.Revoke(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	want = append(want[1:], again)
	b.stop()
	b = open(t, c)
	got, err := b.Revocations(t.Context())
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %d revocations, %v; want %d", len(got), err, len(want))
	}
}

func TestARevocationIsHeardByTheTail(t *testing.T) {
	b := open(t, testConfig(t.TempDir()))
	r := Revocation{Kind: RevokedMachine, ID: "mch_a", At: time.Now().UTC(), Until: time.Now().UTC().Add(time.Minute)}
	if err := b.Revoke(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	b.until("the revocation", func(entries []*Entry) bool {
		return slices.ContainsFunc(entries, func(e *Entry) bool { return e.Kind == Revoked && *e.Revocation == r })
	})
}

func TestARevocationIsForgottenAfterItsTime(t *testing.T) {
	b := open(t, testConfig(t.TempDir()))
	if err := b.Revoke(t.Context(), Revocation{Kind: RevokedKey, ID: "k", At: time.Now(), Until: time.Now()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it to be forgotten", func() bool {
		got, err := b.Revocations(t.Context())
		return err == nil && len(got) == 0
	})
}

func TestARevocationOfNothingIsRefused(t *testing.T) {
	b := open(t, testConfig(t.TempDir()))
	for _, r := range []Revocation{{Kind: RevokedKey}, {Kind: "*", ID: "x"}, {ID: "x"}} {
		if err := b.Revoke(t.Context(), r); err == nil {
			t.Errorf("%+v: got no error", r)
		}
	}
}
