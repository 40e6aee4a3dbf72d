package session

import (
	"sync"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/wire"
)

// Ending is why a session ended: named before the socket is touched.
type Ending struct {
	Code   wire.CloseCode
	Reason string
}

// endings are the reasons of the sessions that have ended and not yet left: few, but in a drain.
type endings struct {
	mu sync.Mutex
	// Guarded by mu.
	reasons map[socket.ID]Ending
}

func (e *endings) add(id socket.ID, why Ending) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.reasons == nil {
		e.reasons = make(map[socket.ID]Ending)
	}
	e.reasons[id] = why
}

func (e *endings) of(id socket.ID) Ending {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.reasons[id]
}

func (e *endings) remove(id socket.ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.reasons, id)
	if len(e.reasons) == 0 {
		e.reasons = nil // an empty map keeps the room of a drain
	}
}
