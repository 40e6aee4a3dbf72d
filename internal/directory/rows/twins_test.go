package rows

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTwinsAreToldOfOnceAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		twins := NewTwins(slog.New(slog.NewTextHandler(&log, nil)))
		told := func() int { return strings.Count(log.String(), "cannot be told apart") }
		for range 1000 {
			twins.Tell("a", "b")
			twins.Tell("b", "a")
		}
		twins.Tell("a", "c")
		if n := told(); n != 2 {
			t.Errorf("two pairs were told of %d times", n)
		}
		time.Sleep(time.Hour)
		twins.Tell("a", "b")
		if n := told(); n != 3 {
			t.Errorf("an hour later one of them was told of %d times", n-2)
		}
	})
}
