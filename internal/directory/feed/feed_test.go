package feed

import (
	"context"
	"errors"
	"testing"

	"github.com/fleetline/fleetline/internal/directory"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAWatcherThatIsTooSlowIsToldToCheck(t *testing.T) {
	f := New(nil)
	f.Push(directory.Event{Kind: directory.Live})
	w := f.Subscribe()
	for range maxWaiting + 1 {
		f.Push(directory.Event{Kind: directory.Gone, ID: "m"})
	}
	got := w.Take()
	if len(got) < 2 || len(got) > 3 || got[0].Kind != directory.Lost || got[1].Kind != directory.Live {
		t.Errorf("%d events wait, the first is %v", len(got), got[0].Kind)
	}
}

func TestAWatchBeginsWithTheStateAndEndsWithTheDirectory(t *testing.T) {
	why := errors.New("why")
	f := New(why)
	f.PushIfLive(directory.Event{Kind: directory.Gone, ID: "unheard"})
	life, end := context.WithCancel(t.Context())
	var got []directory.Event
	err := f.Watch(t.Context(), life, func(e directory.Event) {
		got = append(got, e)
		end()
	})
	if !errors.Is(err, ErrClosed) || len(got) != 1 || got[0].Kind != directory.Lost || !errors.Is(got[0].Err, why) {
		t.Errorf("reported %v, then %v", got, err)
	}
}
