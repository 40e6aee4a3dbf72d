package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fleetline/fleetline/api"
)

const (
	// eventPoll is how often a reader looks for what other nodes have told.
	eventPoll = time.Second
	// eventReadRecords and eventReadBytes bound one look.
	eventReadRecords = 64
	eventReadBytes   = 256 << 10
	// eventsOfMachine is how many records of a machine's shard are read at a time.
	eventsOfMachine = 256
)

// place is where an event lies: the record, which of its events, and when the record was stored, by
// which a place in a stream that was put back from a copy is known.
type place struct {
	seq   uint64
	index int
	at    time.Time
}

func (p place) String() string { return fmt.Sprintf("%d.%d-%x", p.seq, p.index, p.at.UnixNano()) }

// parsePlace reads what String wrote.
func parsePlace(id string) (p place, ok bool) {
	where, at, ok := strings.Cut(id, "-")
	seq, index, ok2 := strings.Cut(where, ".")
	if !ok || !ok2 {
		return p, false
	}
	var err [3]error
	var nanos int64
	p.seq, err[0] = strconv.ParseUint(seq, 10, 64)
	p.index, err[1] = strconv.Atoi(index)
	nanos, err[2] = strconv.ParseInt(at, 16, 64)
	p.at = time.Unix(0, nanos)
	return p, errors.Join(err[:]...) == nil && p.index >= 0 && p.seq > 0
}

// ErrEventID means that an id is not one of an event.
var ErrEventID = errors.New("this is no id of an event")

// EventReader reads events in the order they were stored. It belongs to one goroutine.
type EventReader struct {
	e *Events
	// after is the last event that was read. If last is true it is all of that record.
	after place
	whole bool
	// from is set instead of after for a place in another history: what was stored later counts.
	from *time.Time
	// missed says that events are missing before the next.
	missed uint64
}

// After reads what follows an event: "" is the newest, "0" the beginning of what is kept.
func (e *Events) After(ctx context.Context, id string) (*EventReader, error) {
	r := &EventReader{e: e, whole: true}
	if id == "0" {
		return r, nil
	}
	first, last, err := e.span(ctx)
	if err != nil || id == "" {
		r.after.seq = last
		return r, err
	}
	p, ok := parsePlace(id)
	if !ok {
		return nil, ErrEventID
	}
	if p.seq < first {
		r.after = p // what lies between is gone, and is told
		return r, nil
	}
	a, err := e.direct.ask(ctx, eventStream, question{Seq: p.seq, NextFor: eventRoot + "*", Batch: 1})
	if err != nil {
		return nil, err
	}
	if len(a.records) == 0 || a.records[0].seq != p.seq || !a.records[0].at.Equal(p.at) {
		r.from, r.missed = &p.at, 1
		return r, nil
	}
	r.after, r.whole = p, false
	return r, nil
}

func (e *Events) span(ctx context.Context) (first, last uint64, err error) {
	ctx, cancel := apiContext(ctx)
	defer cancel()
	s, err := e.js.Stream(ctx, eventStream)
	if err != nil {
		return 0, 0, fmt.Errorf("looking at the events: %w", unavailable(err))
	}
	return s.CachedInfo().State.FirstSeq, s.CachedInfo().State.LastSeq, nil
}

// Next waits for events; there are none when ctx has ended. Those that are missing are told by an
// event without an id.
func (r *EventReader) Next(ctx context.Context) ([]api.Event, error) {
	tick := time.NewTicker(eventPoll)
	defer tick.Stop()
	for {
		r.e.mu.Lock()
		changed := r.e.changed
		r.e.mu.Unlock()
		found, err := r.read(ctx)
		if len(found) > 0 || err != nil && ctx.Err() == nil {
			return found, err
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-changed:
		case <-tick.C:
		}
	}
}

func (r *EventReader) read(ctx context.Context) (found []api.Event, err error) {
	q := question{Seq: r.after.seq + 1, NextFor: eventRoot + "*", Batch: eventReadRecords, MaxBytes: eventReadBytes}
	switch {
	case r.from != nil:
		q.Seq, q.StartTime = 0, r.from
	case !r.whole:
		q.Seq = r.after.seq
	}
	a, err := r.e.direct.ask(ctx, eventStream, q)
	if err != nil {
		return nil, err
	}
	for _, rec := range a.records {
		if r.from != nil && !rec.at.After(*r.from) {
			continue
		}
		if r.from == nil && r.after.seq > 0 && rec.seq > r.after.seq+1 {
			r.missed += rec.seq - r.after.seq - 1
		}
		if r.missed > 0 {
			found = append(found, api.Event{Type: api.EventsLost, Time: rec.at.UTC(), Lost: r.missed})
			r.missed = 0
		}
		skip := 0
		if !r.whole && rec.seq == r.after.seq {
			skip = r.after.index + 1
		}
		found = append(found, eventsIn(rec, skip)...)
		r.after, r.whole, r.from = place{seq: rec.seq}, true, nil
	}
	return found, nil
}

// eventsIn are the events of a record after the first skip. One that cannot be read is left out.
func eventsIn(rec record, skip int) (found []api.Event) {
	index := -1
	for line := range bytes.Lines(rec.data) {
		index++
		var ev api.Event
		if index < skip || json.Unmarshal(line, &ev) != nil {
			continue
		}
		ev.ID = place{rec.seq, index, rec.at}.String()
		found = append(found, ev)
	}
	return found
}

// OfMachine reads what is kept of one machine, oldest first, and since when events are kept.
func (e *Events) OfMachine(ctx context.Context, machine string) (found []api.Event, since time.Time, err error) {
	oldest, err := e.direct.ask(ctx, eventStream, question{Seq: 1, NextFor: eventRoot + "*", Batch: 1})
	if err != nil {
		return nil, since, err
	}
	if len(oldest.records) > 0 {
		since = oldest.records[0].at.UTC()
	}
	name, err := json.Marshal(machine) // a record that does not name it need not be decoded
	if err != nil {
		return nil, since, err
	}
	subject := fmt.Sprint(eventRoot, shardOf(machine))
	for after := uint64(0); ; {
		a, err := e.direct.ask(ctx, eventStream, question{Seq: after + 1, NextFor: subject, Batch: eventsOfMachine, MaxBytes: fetchBytes})
		if err != nil || len(a.records) == 0 {
			return found, since, err
		}
		for _, rec := range a.records {
			after = rec.seq
			if !bytes.Contains(rec.data, name) {
				continue
			}
			for _, ev := range eventsIn(rec, 0) {
				if ev.MachineID == machine {
					found = append(found, ev)
				}
			}
		}
	}
}
