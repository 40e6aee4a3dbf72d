package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// EventStreamType is the media type of a stream of events.
const EventStreamType = "text/event-stream"

// maxEventLine bounds a line of a stream of events.
const maxEventLine = 1 << 20

// EventStream is events as they come. It belongs to one goroutine but for Close.
type EventStream struct {
	body  io.ReadCloser
	lines *bufio.Scanner
}

// Events opens a stream of events: those after the one with the id lastID, from now on if it is empty,
// or all that are kept if it is "0". When it ends, open another with the id of the last event that was
// received. Ending ctx ends it.
func (c *Client) Events(ctx context.Context, lastID string) (*EventStream, error) {
	resp, err := c.get(ctx, "/v1/events", func(h http.Header) {
		h.Set("Accept", EventStreamType)
		if lastID != "" {
			h.Set("Last-Event-ID", lastID)
		}
	})
	if err != nil {
		return nil, err
	}
	if err := isType(resp, EventStreamType); err != nil {
		resp.Body.Close()
		return nil, err
	}
	s := &EventStream{body: resp.Body, lines: bufio.NewScanner(resp.Body)}
	s.lines.Buffer(nil, maxEventLine)
	return s, nil
}

// Next waits for the next event. It returns io.EOF when the gateway has ended the stream.
func (s *EventStream) Next() (Event, error) {
	for s.lines.Scan() {
		data, ok := bytes.CutPrefix(s.lines.Bytes(), []byte("data: "))
		if !ok {
			continue // the event's own fields are in its data; the rest is comments
		}
		var e Event
		if err := json.Unmarshal(data, &e); err != nil {
			return e, fmt.Errorf("reading an event: %w", err)
		}
		return e, nil
	}
	if err := s.lines.Err(); err != nil {
		return Event{}, fmt.Errorf("reading events: %w", err)
	}
	return Event{}, io.EOF
}

// Close ends the stream.
func (s *EventStream) Close() error { return s.body.Close() }
