package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// direct asks a stream's replicas for entries without a consumer (ADR-31). Each reader has a
// subscription that lasts; a question that was given up leaves answers behind, which the next one
// knows by their subject and drops.
type direct struct {
	nc      *nats.Conn
	readers chan *reader
}

type reader struct {
	sub    *nats.Subscription
	prefix string
	asked  uint64
}

// directReaders is how many questions may be under way.
const directReaders = 4

func newDirect(nc *nats.Conn) (*direct, error) {
	d := &direct{nc: nc, readers: make(chan *reader, directReaders)}
	for range directReaders {
		r := &reader{prefix: nc.NewRespInbox() + "."}
		var err error
		if r.sub, err = nc.SubscribeSync(r.prefix + "*"); err != nil {
			return nil, fmt.Errorf("subscribing to answers: %w", err)
		}
		d.readers <- r
	}
	return d, nil
}

// close waits for questions under way; the connection's end ends them.
func (d *direct) close() {
	d.nc.Close()
	for range directReaders {
		<-d.readers
	}
}

// question is a direct get request.
type question struct {
	Seq       uint64     `json:"seq,omitempty"`
	NextFor   string     `json:"next_by_subj,omitempty"`
	Batch     int        `json:"batch,omitempty"`
	MaxBytes  int        `json:"max_bytes,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
	LastFor   []string   `json:"multi_last,omitempty"`
}

// answer is what one replica knows.
type answer struct {
	records []record
	// pending is how many more there were when the answer was cut.
	pending uint64
	// upTo is how far the replica had got; set for LastFor.
	upTo uint64
	// none: the replica has nothing of the kind, and does not say how far it has got.
	none bool
}

func (d *direct) ask(ctx context.Context, stream string, q question) (answer, error) {
	ctx, cancel := apiContext(ctx)
	defer cancel()
	body, err := json.Marshal(q)
	if err != nil {
		return answer{}, fmt.Errorf("asking the log: %w", err)
	}
	select {
	case r := <-d.readers:
		defer func() { d.readers <- r }()
		a, err := r.ask(ctx, d.nc, stream, body)
		if err != nil {
			return a, fmt.Errorf("asking the log: %w: %w", ErrUnavailable, err)
		}
		return a, nil
	case <-ctx.Done():
		return answer{}, fmt.Errorf("asking the log: %w: %w", ErrUnavailable, ctx.Err())
	}
}

func (r *reader) ask(ctx context.Context, nc *nats.Conn, stream string, body []byte) (a answer, err error) {
	r.asked++
	reply := r.prefix + strconv.FormatUint(r.asked, 36)
	if err := nc.PublishRequest("$JS.API.DIRECT.GET."+stream, reply, body); err != nil {
		return a, err
	}
	for {
		m, err := r.sub.NextMsgWithContext(ctx)
		if err != nil {
			return a, err
		}
		if m.Subject != reply {
			continue
		}
		last, err := a.add(m)
		if last || err != nil {
			return a, err
		}
	}
}

// add takes one message of an answer and tells whether it was the last.
func (a *answer) add(m *nats.Msg) (last bool, err error) {
	switch status := m.Header.Get("Status"); status {
	case "":
		r, err := directRecord(m)
		a.records = append(a.records, r)
		return false, err
	case "204":
		a.pending = headerNumber(m, "Nats-Num-Pending")
		a.upTo = headerNumber(m, "Nats-UpTo-Sequence")
		return true, nil
	case "404":
		a.none = true
		return true, nil
	default:
		return true, fmt.Errorf("the answer is %s %s", status, m.Header.Get("Description"))
	}
}

func headerNumber(m *nats.Msg, name string) uint64 {
	n, err := strconv.ParseUint(m.Header.Get(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func directRecord(m *nats.Msg) (record, error) {
	r := record{
		// The headers go on living with the entry's strings; they are copied out of the whole.
		subject: strings.Clone(m.Header.Get(jetstream.SubjectHeader)),
		seq:     headerNumber(m, jetstream.SequenceHeader),
		id:      publisherID(m.Header.Get(jetstream.MsgIDHeader)),
		ttl:     parseTTL(m.Header.Get(jetstream.MsgTTLHeader)),
		data:    m.Data,
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
	if err != nil || r.seq == 0 || r.subject == "" {
		return r, fmt.Errorf("the answer lacks the entry's position, subject or time")
	}
	r.at = at
	return r, nil
}
