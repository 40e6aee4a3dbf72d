package socket_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/internal/socket"
)

func TestFramesForManyAtOnceReachThemInOrder(t *testing.T) {
	everywhere(t, socket.Config{}, engines, func(t *testing.T, b *rig) {
		const crowd, each = 30, 10
		var shots []socket.Shot
		var peers []farEnd
		for range crowd {
			id, far := b.open(t)
			peers = append(peers, far)
			for i := range each {
				shots = append(shots, socket.Shot{ID: id, Frame: prepare(fmt.Sprint(i))})
			}
		}
		slices.SortStableFunc(shots, func(a, b socket.Shot) int { return strings.Compare(string(a.Frame), string(b.Frame)) })
		shots = append(shots, socket.Shot{ID: 12345, Frame: prepare("nobody"), Taken: true})
		socket.SendAll(b.engine, shots)
		for i, s := range shots {
			if want := i < crowd*each; s.Taken != want {
				t.Fatalf("shot %d for connection %x: taken %v, want %v", i, uint64(s.ID), s.Taken, want)
			}
		}
		for _, far := range peers {
			for i := range each {
				if got := far.read(t); got != fmt.Sprint(i) {
					t.Errorf("frame %d: got %q", i, got)
				}
			}
		}
	})
}
