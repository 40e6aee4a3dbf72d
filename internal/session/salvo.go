package session

import (
	"runtime"

	"github.com/fleetline/fleetline/internal/socket"
)

// salvoShots is how many sessions a salvo holds: more would save next to nothing, and keep whoever
// wants one of them waiting.
const salvoShots = 64

// salvosInARow is how many are fired before others run: each way through the scheduler wakes a thread
// that may find nothing to do.
const salvosInARow = 4

// salvo hands a burst of frames to each of many sessions with one call of the engine. The sessions stay
// locked from their choice until the engine has answered, as for any frame: who cuts one of them
// meanwhile waits, and nothing comes after the cut. It waits for no lock while it holds others, so no
// two can wait for each other. It is one goroutine's.
type salvo struct {
	engine socket.Engine
	held   [salvoShots]locked
	shots  [salvoShots]socket.Shot
	loaded int
	fired  int
	// landed is told of each session how many frames it took, while it is locked. nil: nobody is.
	landed func(l locked, taken int)
}

func newSalvo(h *Hub, landed func(locked, int)) *salvo {
	return &salvo{engine: h.engine, landed: landed}
}

// lock locks a session that is there.
func (v *salvo) lock(s Session) (l locked, ok bool) {
	if s.rec.mu.TryLock() {
		return s.found()
	}
	v.fire()
	return s.lock()
}

// load takes over a locked session, and unlocks it when it has fired.
func (v *salvo) load(l locked, frames socket.Burst) {
	v.held[v.loaded] = l
	v.shots[v.loaded] = socket.Shot{ID: l.id, Burst: frames}
	if v.loaded++; v.loaded == salvoShots {
		v.fire()
	}
}

// fire is called at the end, too.
func (v *salvo) fire() {
	if v.loaded == 0 {
		return
	}
	shots := v.shots[:v.loaded]
	socket.SendAll(v.engine, shots)
	for i, l := range v.held[:v.loaded] {
		if v.landed != nil {
			v.landed(l, shots[i].Taken)
		}
		l.unlock()
	}
	clear(shots)
	v.loaded = 0
	if v.fired++; v.fired%salvosInARow == 0 {
		runtime.Gosched() // the engine's calls are long, and the runtime does not know of them
	}
}
