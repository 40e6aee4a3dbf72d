package broker

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/wire"
)

// eventRecords are events that wait to be stored. They are written into their records as they come: a
// storm tells of more machines than it would be good to keep, build and copy.
type eventRecords struct {
	spent   *sync.Pool // of *eventRecord: the room of those that lie in the stream; fixed
	records []*eventRecord
	open    [eventShards]*eventRecord
	events  int
}

// eventRecord is one record of events of a shard that follow each other.
type eventRecord struct {
	shard  uint32
	events uint64
	once   string
	body   []byte
	// Set by store.
	sent *pending
	err  error
}

func newEventRecords() eventRecords {
	return eventRecords{spent: &sync.Pool{New: func() any { return new(eventRecord) }}}
}

// eventRecordSize is about how large a record of several events gets.
const eventRecordSize = 16 << 10

func (r *eventRecord) message() *nats.Msg {
	m := &nats.Msg{Subject: eventRoot + strconv.FormatUint(uint64(r.shard), 10), Data: r.body}
	if r.once != "" {
		m.Header = nats.Header{jetstream.MsgIDHeader: {r.once}}
	}
	return m
}

// add writes an event behind those of its shard. What other nodes may tell too gets a record and a name of
// its own, by which the stream knows it again.
func (q *eventRecords) add(ev api.Event) {
	shard, once := shardOf(ev.MachineID), onceOf(ev)
	r := q.open[shard]
	if r == nil || once != "" || len(r.body) >= eventRecordSize {
		r = q.spent.Get().(*eventRecord)
		r.shard, r.once = shard, once
		q.records = append(q.records, r)
		q.open[shard] = r
		if once != "" {
			q.open[shard] = nil
		}
	}
	r.body = append(appendEvent(r.body, ev), '\n')
	r.events++
	q.events++
}

func (q *eventRecords) take() []*eventRecord {
	records := q.records
	q.records, q.open, q.events = nil, [eventShards]*eventRecord{}, 0
	return records
}

// release gives the room of a record to another. Nobody else may have it.
func (q *eventRecords) release(r *eventRecord) {
	*r = eventRecord{body: r.body[:0]}
	q.spent.Put(r)
}

func shardOf(machine string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(machine))
	return h.Sum32() % eventShards
}

// onceOf names what every node of an installation tells.
func onceOf(ev api.Event) string {
	if ev.Type != api.MachineDeleted {
		return ""
	}
	return fmt.Sprintf("%s %s %d", ev.Type, ev.MachineID, ev.Time.Unix()/int64(eventRepeat/time.Second))
}

// appendEvent writes an event as the encoder would by the tags of its fields, without reflection.
func appendEvent(dst []byte, ev api.Event) []byte {
	dst = append(dst, '{')
	if ev.ID != "" {
		dst = append(wire.AppendText(append(dst, `"id":`...), ev.ID), ',')
	}
	dst = wire.AppendText(append(dst, `"type":`...), string(ev.Type))
	dst = append(ev.Time.AppendFormat(append(dst, `,"time":"`...), time.RFC3339Nano), '"')
	dst = appendField(dst, `,"node":`, ev.Node)
	dst = appendField(dst, `,"machineId":`, ev.MachineID)
	dst = appendField(dst, `,"accountId":`, ev.AccountID)
	dst = appendField(dst, `,"sessionId":`, ev.SessionID)
	dst = appendField(dst, `,"address":`, ev.Address)
	if ev.Code != 0 {
		dst = strconv.AppendInt(append(dst, `,"code":`...), int64(ev.Code), 10)
	}
	dst = appendField(dst, `,"reason":`, ev.Reason)
	if ev.Position != 0 {
		dst = strconv.AppendUint(append(dst, `,"position":`...), ev.Position, 10)
	}
	if ev.Lost != 0 {
		dst = strconv.AppendUint(append(dst, `,"lost":`...), ev.Lost, 10)
	}
	return append(dst, '}')
}

func appendField(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return wire.AppendText(append(dst, name...), value)
}
