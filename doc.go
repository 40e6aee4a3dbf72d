// Package fleetline is the Go SDK for machines: it holds the live line to a Fleetline gateway.
//
//	client, err := fleetline.Connect(ctx, "gateway.example.com", fleetline.Config{
//		APIKey: key,
//		State:  fleetline.FileState("/var/lib/agent/fleetline.json"),
//	})
//	if err != nil {
//		return err // errors.Is(err, fleetline.ErrBadKey), ...
//	}
//	defer client.Close()
//	for msg := range client.Messages(ctx) {
//		handle(msg.Data)
//	}
//	return client.Err()
//
// What it promises:
//
//   - It reconnects for ever, with full jitter and as late as the gateway asks. Only a verdict of
//     the gateway ends it: ErrMachineDeleted, ErrBadKey, ErrProtocol. No answer of a proxy and no
//     failing network does.
//   - Stored messages come in order, none twice within the life of a Client, and none lost as long
//     as the gateway still has them; what it no longer has is told through Config.OnGap, in order
//     among the messages.
//   - A message counts as processed when the next one is asked for (see Client.Next). That position
//     is kept in Config.State, so the next run goes on behind it.
//   - A caller that is slow or stopped loses nothing: the client stops reading, keeps the session
//     alive, and goes on when there is room.
//   - A deleted machine stays deleted: its state is wiped before the error is told, and a start
//     with the same key is refused without asking the gateway.
//
// It does not send messages upstream, and it never logs or returns a key or a token.
package fleetline
