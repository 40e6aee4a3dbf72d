package admin

import (
	"testing"
	"time"

	"github.com/fleetline/fleetline/api"
)

func TestHeldDeletionsAreListedAndConfirmed(t *testing.T) {
	d, ctx := openDoor(t), t.Context()
	if held, err := d.HeldDeletions(ctx); err != nil || len(held) != 0 {
		t.Fatalf("held at first: %v %v", held, err)
	}
	since := time.Now().UTC().Truncate(time.Second)
	d.mu.Lock()
	for _, id := range []string{"a", "b", "c"} {
		d.held = append(d.held, api.HeldDeletion{Kind: "account", ID: id, Since: since, Why: "a test"})
	}
	d.mu.Unlock()
	held, err := d.HeldDeletions(ctx)
	if err != nil || len(held) != 3 || held[1] != (api.HeldDeletion{Kind: "account", ID: "b", Since: since, Why: "a test"}) {
		t.Fatalf("held: %+v %v", held, err)
	}
	for _, c := range []struct {
		which api.ConfirmDeletions
		want  int
	}{{api.ConfirmDeletions{ID: "b"}, 1}, {api.ConfirmDeletions{All: true}, 2}, {api.ConfirmDeletions{All: true}, 0}} {
		if done, err := d.ConfirmDeletions(ctx, c.which); err != nil || done.Deleted != c.want {
			t.Errorf("confirming %+v: %+v %v", c.which, done, err)
		}
	}
}
