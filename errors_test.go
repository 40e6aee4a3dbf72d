package fleetline

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetline/fleetline/wire"
)

func TestARefusalReadsAsASentence(t *testing.T) {
	for want, r := range map[string]*Refusal{
		"the machine has been deleted: gone":                {Code: wire.CodeMachineDeleted, Message: "gone"},
		"the API key is not accepted":                       {Code: wire.CodeBadKey},
		"the gateway ended the session (drain)":             {Code: wire.CodeDrain, Close: wire.CloseRestart},
		"the gateway ended the session (1011): out of luck": {Close: 1011, Message: "out of luck"},
		"the gateway ended the session":                     {},
	} {
		if got := r.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if errors.Is(&Refusal{}, ErrBadKey) || errors.Is(&Refusal{}, nil) {
		t.Error("a refusal without a word is a verdict")
	}
}

func TestANonsensicalHeartbeatIsBounded(t *testing.T) {
	for seconds, want := range map[float64]time.Duration{
		0: wire.Heartbeat, -1: wire.Heartbeat, 1e-9: 10 * time.Millisecond, 0.5: 500 * time.Millisecond, 1e300: time.Hour,
	} {
		if got := heartbeatOf(seconds); got != want {
			t.Errorf("%v s became %v, want %v", seconds, got, want)
		}
	}
}

func TestAPingWhileAMessageIsInHandCountsOnceThatIsProcessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seq := uint64(9)
		ping := make(chan struct{})
		g := play(t, ws(func(p *peer) {
			p.letIn(wire.Welcome{})
			p.send(message(1, "1"))
			<-ping
			p.send(wire.Ping{Seq: &seq})
			p.stay()
		}))
		c := g.connect(Config{})
		take(t, c, 1)
		close(ping)
		synctest.Wait()
		if received, processed := c.inbox.positions(); received.Seq != 9 || processed.Seq != 0 {
			t.Errorf("received %d, processed %d", received.Seq, processed.Seq)
		}
		c.Ack()
		if _, processed := c.inbox.positions(); processed.Seq != 9 {
			t.Errorf("processed %d", processed.Seq)
		}
	})
}
