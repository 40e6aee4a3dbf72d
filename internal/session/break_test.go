package session

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/wire"
)

func TestNoPingDuringABreakSaysThatTheMissingWasHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Heartbeat: time.Second})
		defer w.close()
		_, peer := w.connect(Identity{Machine: "m", Account: "a"}, 0)
		heard := w.publish(Target{Machine: "m"})
		w.hub.Break(heard+10, func(s Session) {
			if got := w.hub.Begun(); got != heard+10 {
				t.Errorf("whoever enters now starts at %d, before the break at %d", got, heard+10)
			}
			time.Sleep(2 * time.Second) // it is pinged before its turn to end comes
			s.End(nil, Ending{Code: wire.CloseRestart})
		})
		var pings int
		for p, ok := peer.Next(); ok; p, ok = peer.Next() {
			frame, err := wire.ParseDown(p)
			if err != nil {
				t.Fatal(err)
			}
			if ping, ok := frame.(wire.Ping); ok {
				pings++
				if ping.Seq != nil && *ping.Seq > heard {
					t.Errorf("a ping says that everything up to %d was handed over, and that is so up to %d", *ping.Seq, heard)
				}
			}
		}
		if pings == 0 {
			t.Error("no ping came during the break: nothing was tested")
		}
		if got := w.hub.finished.Load(); got != heard+10 {
			t.Errorf("after the break %d is finished, want %d", got, heard+10)
		}
	})
}
