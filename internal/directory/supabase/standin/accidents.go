package standin

import "net"

// Accidents happen once, unlike Faults.

// Outage has connections refused, and cuts those there are, until it is called with false.
func (p *Project) Outage(on bool) error {
	if on {
		p.stop()
		return nil
	}
	listener, err := net.Listen("tcp", p.address)
	if err == nil {
		p.serve(listener)
	}
	return err
}

// Drop cuts all sockets of Realtime, without a close frame.
func (p *Project) Drop() {
	for _, s := range p.realtime.open() {
		_ = s.conn.CloseNow()
	}
}

// Crash ends all channels as a crash of their processes does: with phx_error.
func (p *Project) Crash() {
	for _, ch := range p.realtime.all() {
		ch.end()
		ch.socket.send(frame{JoinRef: ch.joinRef, Ref: ch.joinRef, Topic: ch.topic, Event: "phx_error", Payload: object{}.raw()})
	}
}

// ShutDown ends all channels with a system error and phx_close, after which the official client gives
// up.
func (p *Project) ShutDown(reason string) {
	for _, ch := range p.realtime.all() {
		ch.shutDown(reason)
	}
}

// RepeatSystemOK subscribes all channels anew, as when the publication has changed: what changes before
// the next system ok is lost.
func (p *Project) RepeatSystemOK() { p.realtime.resubscribe() }

// RestartRealtime loses the replication slot and what was not read from it; a new one follows.
func (p *Project) RestartRealtime() { p.realtime.feed.restart() }

// Subscribed counts the channels that changes reach now.
func (p *Project) Subscribed() int {
	n := 0
	for _, ch := range p.realtime.all() {
		if ch.subscribed() {
			n++
		}
	}
	return n
}
