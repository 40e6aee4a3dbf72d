package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/broker"
)

const eventsPath = "/v1/events"

func (a *Admin) eventRoutes(d *document) {
	a.plain(d, route{
		id: "events", method: http.MethodGet, path: eventsPath,
		summary: "Events of machines as they come (server-sent events); Last-Event-ID goes on after one, 0 begins with the oldest.",
	}, api.EventStreamType, http.HandlerFunc(a.events))
	d.operation(http.MethodGet, eventsPath).Responses["200"].Content[api.EventStreamType] = &huma.MediaType{Schema: schemaOf[api.Event](d.huma)}
}

// events streams until the caller leaves or does not read, its token is deleted or the gateway stops.
// What is on its way is one read of the stream: a slow caller costs nothing more.
func (a *Admin) events(w http.ResponseWriter, r *http.Request) {
	leave, ok := a.enterStream(w)
	if !ok {
		return
	}
	defer leave()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(a.draining, cancel)()
	from, err := a.cfg.Events.After(ctx, r.Header.Get("Last-Event-ID"))
	switch {
	case errors.Is(err, broker.ErrEventID):
		writeProblem(w, api.NewError(api.CodeInvalidRequest, "Last-Event-ID is not the id of an event"))
		return
	case err != nil:
		writeProblem(w, problemOf(err))
		return
	}
	s := beginStream(w)
	for s.flush() == nil && ctx.Err() == nil && a.stillGood(ctx, callOf(ctx).caller) {
		if err := s.add(ctx, from); err != nil {
			return // the caller comes back with the last id
		}
	}
}

// add waits for events, and makes do with a comment when none come.
func (s *eventStream) add(ctx context.Context, from *broker.EventReader) error {
	wait, cancel := context.WithTimeout(ctx, keepAlive)
	defer cancel()
	found, err := from.Next(wait)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		s.buf.WriteString(": nothing new\n\n")
	}
	for _, ev := range found {
		text, err := json.Marshal(ev)
		if err != nil {
			return err
		}
		if ev.ID != "" {
			fmt.Fprintf(&s.buf, "id: %s\n", ev.ID)
		}
		fmt.Fprintf(&s.buf, "event: %s\ndata: %s\n\n", ev.Type, text)
	}
	return nil
}
