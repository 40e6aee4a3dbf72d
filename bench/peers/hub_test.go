package main

import (
	"slices"
	"testing"
	"time"
)

// heard is a connection that hands on what it is sent.
type heard chan string

func (c heard) send(f string) { c <- f }

func TestAHubSendsToWhoIsThere(t *testing.T) {
	h := newHub[string, heard]("ping", time.Hour)
	old, first, second, third := make(heard, 2), make(heard, 2), make(heard, 2), make(heard, 2)
	h.enter("1", old)
	h.enter("1", first)
	h.enter("2", second)
	h.enter("3", third)
	h.leave("1", old) // another has its place
	h.leave("2", second)
	h.leave("2", second)
	if n := h.live(); n != 2 {
		t.Fatalf("there are %d, want 2", n)
	}
	h.one("3", "a")
	h.one("2", "b")
	h.all("c")
	got := []string{<-first, <-third, <-third}
	if !slices.Equal(got, []string{"c", "a", "c"}) || len(first)+len(second)+len(third)+len(old) != 0 {
		t.Errorf("1 and 3 heard %q; besides, 1 was sent %d, 2 %d, 3 %d and the old one %d", got, len(first), len(second), len(third), len(old))
	}
	h.leave("1", first)
	h.leave("3", third)
	if n := h.live(); n != 0 {
		t.Errorf("there are %d when all have left", n)
	}
}
