package broker

import (
	"context"
	"errors"
	"os"
)

// Close stops the log and leaves the mark of a clean stop. A Tail that runs ends; what comes late is
// refused. What was acknowledged is on the disk when Close returns without an error.
func (b *Broker) Close() error { return b.closed() }

func (b *Broker) close() error {
	b.beginClosing()
	b.tail.wait()
	b.pulse.close()
	b.acks.close()
	now := *b.lives.current.Load()
	s, err := b.lives.state(context.Background(), now)
	b.counts.unregister()
	b.direct.close()
	b.engine.stop()
	if err == nil {
		err = b.engine.markClean(b.cfg, now.Epoch, s.LastSeq)
	}
	return errors.Join(err, unlock(b.lock))
}

// markClean says that the stopped store is whole. It is on the disk before.
func (e *engine) markClean(c Config, epoch string, last uint64) error {
	if err := e.sync(); err != nil {
		return err
	}
	w := c.witness(epoch, last)
	w.Clean = true
	return w.writeDurably(c.Dir)
}

// abandon ends what an Open that failed had begun. It leaves no mark.
func (b *Broker) abandon() error {
	b.beginClosing()
	if b.pulse != nil {
		b.pulse.close()
	}
	if b.acks != nil {
		b.acks.close()
	}
	if b.direct != nil {
		b.direct.close()
	}
	if b.engine != nil {
		b.engine.stop()
	}
	return unlock(b.lock)
}

func unlock(lock *os.File) error {
	if lock == nil {
		return nil
	}
	return lock.Close()
}
