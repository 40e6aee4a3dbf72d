package standin

import (
	"maps"
	"slices"
)

// interested are the subscribed channels that want a change, by role.
func (r *realtime) interested(c change) map[string][]*channel {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := map[string][]*channel{}
	for ch := range r.channels {
		if ch.isSubscribed && len(ch.ids(c)) > 0 {
			found[ch.role] = append(found[ch.role], ch)
		}
	}
	return found
}

func (c *channel) ids(change change) (ids []int) {
	for _, b := range c.bindings {
		if b.wants(change) {
			ids = append(ids, b.ID)
		}
	}
	return ids
}

// publish sends a change to channels, unless a fault loses it.
func (r *realtime) publish(c change, data object, channels []*channel) {
	if r.project.loses() {
		return
	}
	for _, ch := range channels {
		ch.socket.send(frame{Topic: ch.topic, Event: "postgres_changes", Payload: object{"ids": ch.ids(c), "data": data}.raw()})
	}
}

// all are the channels of this moment.
func (r *realtime) all() []*channel {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.channels))
}

// open are the sockets of this moment.
func (r *realtime) open() []*socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.sockets))
}

func (r *realtime) resubscribe() {
	for _, ch := range r.all() {
		ch.resubscribe(true)
	}
}
