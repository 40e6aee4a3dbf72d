package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/broker"
)

// Onlooker sees what the log hands out; *broker.Broker is one.
type Onlooker interface {
	Follow(targets ...broker.Target) *broker.Follower
}

func (a *Admin) frameRoutes(d *document) {
	a.plain(d, route{
		id: "frames", method: http.MethodGet, path: machinesPath + "/{id}/frames",
		summary: "Messages for one machine as the log hands them out, stored and live-only (server-sent events: data, and lost where some were too many).",
	}, api.EventStreamType, http.HandlerFunc(a.frames))
}

// frames streams until the caller leaves or does not read, its token is deleted or the gateway stops.
func (a *Admin) frames(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	m, err := machineIn(a.checkMachines(ctx, []string{r.PathValue("id")})[0])
	cancel()
	if err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	leave, ok := a.enterStream(w)
	if !ok {
		return
	}
	defer leave()
	from := a.cfg.Onlooker.Follow(broker.Target{}, broker.Target{Account: m.AccountID}, broker.Target{Machine: m.ID})
	defer from.Close()
	ctx, cancel = context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(a.draining, cancel)()
	s := beginStream(w)
	quiet := time.NewTicker(keepAlive)
	defer quiet.Stop()
	for s.flush() == nil {
		select {
		case <-ctx.Done():
			return
		case <-quiet.C:
			if !a.stillGood(ctx, callOf(r.Context()).caller) {
				return
			}
			s.buf.WriteString(": nothing new\n\n")
		case e := <-from.Entries():
			s.frame(e)
		}
		if n := from.Lost(); n > 0 {
			fmt.Fprintf(&s.buf, "event: lost\ndata: {\"lost\":%d}\n\n", n)
		}
	}
}

func (s *eventStream) frame(e *broker.Entry) {
	text, err := json.Marshal(storedMessage(e))
	if err == nil { // the log holds nothing but JSON
		fmt.Fprintf(&s.buf, "event: data\ndata: %s\n\n", text)
	}
}
