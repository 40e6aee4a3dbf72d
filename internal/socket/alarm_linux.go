package socket

import (
	"os"
	"sync"
	"time"
)

// alarm interrupts the waiting of a nest at a moment, or for ever.
type alarm struct {
	file *os.File

	mu sync.Mutex
	// Guarded by mu.
	off bool
}

// set has the waiting end at t; the zero time means never.
func (a *alarm) set(t time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.off {
		_ = a.file.SetReadDeadline(t)
	}
}

// turnOff ends this waiting and every later one.
func (a *alarm) turnOff() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.off = true
	_ = a.file.SetReadDeadline(time.Unix(1, 0))
}

func (a *alarm) isOff() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.off
}
