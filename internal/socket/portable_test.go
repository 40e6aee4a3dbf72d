package socket_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/internal/socket/frame"
)

// inTime runs a test of the portable engine in fake time, over a pipe: nothing is buffered between
// the ends, so a peer takes exactly what it reads.
func inTime(t *testing.T, test func(t *testing.T, b *rig, id socket.ID, peer *rawPeer)) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, "pipe", socket.Config{})
		id, far := b.open(t)
		test(t, b, id, far.(*rawPeer))
	})
}

// at returns how long ago began is, in fake time.
func at(began time.Time) time.Duration { return time.Since(began) }

func TestAPeerThatDoesNotAnswerTheCloseIsLetGoAfterTheLingerTimeout(t *testing.T) {
	inTime(t, func(t *testing.T, b *rig, id socket.ID, peer *rawPeer) {
		began := time.Now()
		b.engine.End(id, prepare("goodbye"), 4500, "gone")
		for _, want := range []string{"goodbye", "close 4500 gone"} {
			if got := peer.read(t); got != want {
				t.Errorf("peer read %q, want %q", got, want)
			}
		}
		b.recorder.expect(t, "closed by us: 4500 gone")
		if got := at(began); got != socket.LingerTimeout {
			t.Errorf("closed after %v, want %v", got, socket.LingerTimeout)
		}
	})
}

func TestAStoppedPeerIsLetGoAfterTheLingerTimeout(t *testing.T) {
	inTime(t, func(t *testing.T, b *rig, id socket.ID, peer *rawPeer) {
		began := time.Now()
		b.engine.Send(id, prepare("never read"))
		b.engine.End(id, nil, 4001, "silent")
		b.recorder.expect(t, "closed by us: 4001 silent")
		if got := at(began); got != socket.LingerTimeout {
			t.Errorf("closed after %v, want %v", got, socket.LingerTimeout)
		}
	})
}

func TestAPeerThatGoesOnTalkingDoesNotPutTheEndOff(t *testing.T) {
	inTime(t, func(t *testing.T, b *rig, id socket.ID, peer *rawPeer) {
		began := time.Now()
		b.engine.End(id, nil, 4500, "")
		if got := peer.read(t); got != "close 4500" {
			t.Errorf("peer read %q", got)
		}
		for peer.text("not heard") == nil {
			time.Sleep(time.Second / 3)
		}
		b.recorder.expect(t, "closed by us: 4500")
		if got := at(began); got < socket.LingerTimeout || got > socket.LingerTimeout+time.Second/3 {
			t.Errorf("closed after %v, want %v", got, socket.LingerTimeout)
		}
	})
}

func TestAPeerThatBrokeTheProtocolAndStoppedIsLetGo(t *testing.T) {
	inTime(t, func(t *testing.T, b *rig, id socket.ID, peer *rawPeer) {
		began := time.Now()
		if err := peer.writeRaw([]byte{0xFF}); err != nil {
			t.Fatal(err)
		}
		b.recorder.expect(t, "closed by us: 1002 reserved bit set")
		if got := at(began); got != socket.LingerTimeout {
			t.Errorf("closed after %v, want %v", got, socket.LingerTimeout)
		}
	})
}

func TestAnAnsweredCloseDoesNotLinger(t *testing.T) {
	inTime(t, func(t *testing.T, b *rig, id socket.ID, peer *rawPeer) {
		began := time.Now()
		b.engine.End(id, nil, 4003, "")
		peer.read(t)
		peer.sayClose(4003, "")
		b.recorder.expect(t, "closed by us: 4003")
		if got := at(began); got != 0 {
			t.Errorf("closed after %v, want at once", got)
		}
	})
}

func TestCloseDoesNotWaitForPeersThatLinger(t *testing.T) {
	inTime(t, func(t *testing.T, b *rig, id socket.ID, peer *rawPeer) {
		began := time.Now()
		b.engine.End(id, nil, 4500, "gone")
		b.engine.Close()
		if got := at(began); got != 0 {
			t.Errorf("Close took %v", got)
		}
		b.recorder.expect(t, "closed by us: 4500 gone")
	})
}

func TestAnyByteMovesLastByte(t *testing.T) {
	inTime(t, func(t *testing.T, b *rig, id socket.ID, peer *rawPeer) {
		for _, raw := range masked(0x81, "hi") {
			time.Sleep(time.Minute)
			if err := peer.writeRaw([]byte{raw}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := at(b.engine.LastByte(id)); got != 0 {
				t.Errorf("last byte was %v ago, want now", got)
			}
		}
		b.recorder.expect(t, `text "hi"`)
	})
}

func TestWritesThatDoNotWaitForThePeerProveNothing(t *testing.T) {
	inTime(t, func(t *testing.T, b *rig, id socket.ID, peer *rawPeer) {
		began := time.Now()
		go func() {
			for !strings.HasPrefix(peer.read(t), "end") {
			}
		}()
		for range 10 {
			time.Sleep(time.Second)
			b.engine.Send(id, prepare("ping"))
		}
		synctest.Wait()
		if got := b.engine.LastByte(id); !got.Equal(began) {
			t.Errorf("last byte was %v after the start, want at the start", got.Sub(began))
		}
	})
}

func TestAStoppedPeerDoesNotMoveLastByte(t *testing.T) {
	inTime(t, func(t *testing.T, b *rig, id socket.ID, peer *rawPeer) {
		began := time.Now()
		for range 10 {
			time.Sleep(time.Second)
			b.engine.Send(id, prepare(strings.Repeat("x", 10<<10)))
		}
		if got := b.engine.LastByte(id); !got.Equal(began) {
			t.Errorf("last byte was %v after the start, want at the start", got.Sub(began))
		}
	})
}

func TestASlowPeerWithOneLargeFrameMovesLastByte(t *testing.T) {
	inTime(t, func(t *testing.T, b *rig, id socket.ID, peer *rawPeer) {
		b.engine.Send(id, prepare(strings.Repeat("x", 256<<10)))
		for range 16 {
			time.Sleep(40 * time.Second)
			for range 4 { // of 4 KiB
				if _, err := peer.Conn.Read(peer.buf[:]); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if got := at(b.engine.LastByte(id)); got != 0 {
				t.Errorf("last byte was %v ago, want now", got)
			}
		}
	})
}

func TestAFastPeerThatOnlyReadsMovesLastByte(t *testing.T) {
	inTime(t, func(t *testing.T, b *rig, id socket.ID, peer *rawPeer) {
		go func() {
			for !strings.HasPrefix(peer.read(t), "end") {
			}
		}()
		time.Sleep(10 * time.Second)
		b.engine.Send(id, prepare(strings.Repeat("x", 128<<10)))
		synctest.Wait()
		if got := at(b.engine.LastByte(id)); got != 0 {
			t.Errorf("last byte was %v ago, want now", got)
		}
	})
}

func TestOnlyTheLatestPingIsAnsweredToAPeerThatDoesNotRead(t *testing.T) {
	inTime(t, func(t *testing.T, b *rig, id socket.ID, peer *rawPeer) {
		b.engine.Send(id, prepare("first"))
		synctest.Wait()
		for i := range 1000 {
			if err := peer.write(frame.OpPing, fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait() // the last ping has been read, too
		for _, want := range []string{"first", "pong 999"} {
			if got := peer.read(t); got != want {
				t.Errorf("peer read %q, want %q", got, want)
			}
		}
	})
}

func TestClosedComesAfterARunningDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, "pipe", socket.Config{MaxPending: 100})
		b.recorder.onDrained = func(socket.ID) {
			b.recorder.note("drained begins")
			time.Sleep(time.Hour)
			b.recorder.note("drained ends")
		}
		id, far := b.open(t)
		for b.engine.Send(id, prepare("frame")) {
		}
		for !b.engine.Send(id, prepare("last")) {
			far.read(t)
			synctest.Wait()
		}
		for far.read(t) != "last" {
		}
		b.recorder.expect(t, "drained begins")
		b.engine.Send(id, prepare("while Drained runs"))
		if got := far.read(t); got != "while Drained runs" {
			t.Errorf("peer read %q", got)
		}
		far.drop()
		time.Sleep(time.Hour)
		b.recorder.expect(t, "drained ends", "closed by peer: 1006")
	})
}

func TestAWrongConfigIsRefusedWithAllItsProblems(t *testing.T) {
	_, err := socket.NewPortable(socket.Config{MaxFrame: -1, MaxPending: -1})
	for _, want := range []string{"Handler", "MaxFrame", "MaxPending"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
}
