package main

import (
	"context"
	"net/http"
	"time"

	"github.com/centrifugal/centrifuge"
)

// serveCentrifuge is the library with its own JSON protocol: each machine has two subscriptions, one
// of everybody and one of its own, as a fleet would be built on it. No compression, write buffers
// from a pool.
func serveCentrifuge(ctx context.Context, heartbeat time.Duration) error {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return err
	}
	node.OnConnecting(func(_ context.Context, e centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		if e.Token == "" {
			return centrifuge.ConnectReply{}, centrifuge.DisconnectInvalidToken
		}
		return centrifuge.ConnectReply{
			Credentials:   &centrifuge.Credentials{UserID: e.Name},
			Subscriptions: map[string]centrifuge.SubscribeOptions{"all": {}, "machine:" + e.Name: {}},
		}, nil
	})
	if err := node.Run(); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		ReadBufferSize: 256, WriteBufferSize: 1024, UseWriteBufferPool: true,
		// A ping waits behind what the client's queue holds, many seconds when messages are always on their
		// way, and nobody may be ended for that. The library wants the timeout shorter than the interval.
		PingPongConfig: centrifuge.PingPongConfig{PingInterval: heartbeat, PongTimeout: heartbeat - heartbeat/20},
	}))
	publish := func(channel string, data []byte) { _, _ = node.Publish(channel, data) } // the memory broker's cannot fail
	return serve(ctx, "centrifuge", mux, control{
		all:  func(data []byte) { publish("all", data) },
		one:  func(id string, data []byte) { publish("machine:"+id, data) },
		live: func() int { return node.Hub().NumClients() },
	})
}
