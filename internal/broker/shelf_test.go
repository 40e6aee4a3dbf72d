package broker

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

func TestAShelfKeepsItsRecordsAndRemovesThemAlsoWhenItIsFull(t *testing.T) {
	c := testConfig(t.TempDir())
	b := open(t, c)
	s, err := OpenShelf(t.Context(), b.Broker, "things")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b.*", "c >"} {
		if err := s.Put(t.Context(), key, []byte("old")); err != nil {
			t.Fatal(err)
		}
		if err := s.Put(t.Context(), key, []byte("new "+key)); err != nil {
			t.Fatal(err)
		}
	}
	big := bytes.Repeat([]byte("x"), 1<<19)
	for n := 0; ; n++ {
		if err := s.Put(t.Context(), fmt.Sprint("big", n), big); errors.Is(err, ErrFull) {
			break
		} else if err != nil || n > 100 {
			t.Fatalf("filling: %d records and %v", n, err)
		}
	}
	if err := s.Remove(t.Context(), "b.*"); err != nil {
		t.Fatal(err)
	}
	b.stop()
	b = open(t, c)
	if s, err = OpenShelf(t.Context(), b.Broker, "things"); err != nil {
		t.Fatal(err)
	}
	if v, found, err := s.Get(t.Context(), "c >"); err != nil || !found || string(v) != "new c >" {
		t.Errorf("got %q, %v, %v", v, found, err)
	}
	if _, found, err := s.Get(t.Context(), "b.*"); err != nil || found {
		t.Errorf("a removed record: %v, %v", found, err)
	}
	seen := map[string]bool{}
	if err := s.All(t.Context(), func(key string, _ []byte) { seen[key] = true }); err != nil || !seen["a"] || !seen["c >"] || seen["b.*"] {
		t.Errorf("got %v, %v", seen, err)
	}
}
