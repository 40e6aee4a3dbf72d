package socket

import (
	"log/slog"
	"time"

	"github.com/fleetline/fleetline/internal/ring"
	"github.com/fleetline/fleetline/internal/socket/frame"
	"golang.org/x/sys/unix"
)

const (
	// gulpSize is what is read of a connection together with others: what machines say is mostly short,
	// and who says more is read again by itself.
	gulpSize = 1 << 10
	// fewestTogether is how many must have something for one call to be less than a call for each.
	fewestTogether = 3
)

// gulp is a ring that reads from many connections in one call, each into its own part of a buffer. It
// is a loop's.
type gulp struct {
	*ring.Ring
	buf [ring.Size][gulpSize]byte
}

// newGulp returns nil where there is no io_uring.
func newGulp() *gulp {
	r, err := ring.New()
	if err != nil {
		return nil
	}
	return &gulp{Ring: r}
}

// readAll reads from all that have something, a ringful at a time.
func (lp *loop) readAll(readable []line, now time.Time) {
	for len(readable) > 0 {
		n := min(len(readable), ring.Size)
		if lp.gulp == nil || n < fewestTogether {
			for _, l := range readable[:n] {
				lp.read(l, loopBuffer, now)
			}
		} else {
			lp.readTogether(readable[:n], now)
		}
		readable = readable[n:]
	}
}

func (lp *loop) readTogether(readable []line, now time.Time) {
	g := lp.gulp
	for i, l := range readable {
		g.Load(ring.Recv, int(l.rec.fd), g.buf[i][:])
	}
	if err := g.Fire(); err != nil {
		lp.giveUp(g, err)
	}
	for i, l := range readable {
		lp.swallow(l, g.buf[i][:], g.Result(i), now)
	}
}

// swallow draws the conclusions of a read. What follows a full part is read at once: the part is free
// again only with the next call.
func (lp *loop) swallow(l line, part []byte, result int32, now time.Time) {
	switch {
	case result == ring.NotBegun:
		lp.read(l, loopBuffer, now)
	case result == ring.NotCertain:
		l.finish(Closure{Code: frame.CodeAbnormal, Local: true}) // what it sent may be lost
	case result < 0:
		lp.received(l, nil, unix.Errno(-result), now)
	default:
		more := lp.received(l, part[:result], nil, now)
		if more && int(result) == len(part) {
			lp.read(l, loopBuffer, now)
		}
	}
}

// giveUp goes on without a ring that misbehaved. Its memory is kept: the kernel may not be done.
func (lp *loop) giveUp(g *gulp, err error) {
	g.Close()
	lp.gulp, lp.spoilt = nil, g
	lp.engine.cfg.Logger.Warn("io_uring has failed: from now on sockets are read one by one", slog.Any("error", err))
}
