package socket_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/fleetline/fleetline/internal/socket"
)

// burst is text frames that are handed over together.
func burst(texts ...string) socket.Burst {
	frames := make([]socket.Prepared, len(texts))
	for i, text := range texts {
		frames[i] = prepare(text)
	}
	return socket.NewBurst(frames...)
}

func TestFramesForManyAtOnceReachThemInOrder(t *testing.T) {
	everywhere(t, socket.Config{}, engines, func(t *testing.T, b *rig) {
		const crowd, each = 30, 10
		var shots []socket.Shot
		var peers []farEnd
		for range crowd {
			id, far := b.open(t)
			peers = append(peers, far)
			for i := range each {
				shots = append(shots, socket.Shot{ID: id, Burst: burst(fmt.Sprint(i, "a"), fmt.Sprint(i, "b"))})
			}
		}
		slices.SortStableFunc(shots, func(a, b socket.Shot) int { return bytes.Compare(a.Burst.Frames[0], b.Burst.Frames[0]) })
		shots = append(shots, socket.Shot{ID: 12345, Burst: burst("nobody"), Taken: 7})
		socket.SendAll(b.engine, shots)
		for i, s := range shots {
			want := 2
			if i == crowd*each {
				want = 0
			}
			if s.Taken != want {
				t.Fatalf("shot %d for connection %x: taken %d, want %d", i, uint64(s.ID), s.Taken, want)
			}
		}
		for _, far := range peers {
			for i := range each {
				for _, want := range []string{fmt.Sprint(i, "a"), fmt.Sprint(i, "b")} {
					if got := far.read(t); got != want {
						t.Errorf("got %q, want %q", got, want)
					}
				}
			}
		}
	})
}
