// Package broker is the log: every message for a machine, an account or all is stored and numbered
// here, and every node hears it from here, in order.
//
// The log is one JetStream stream, in a nats-server inside this process that listens on no port. A
// Publish that returned is kept until its age or its TTL, also over a kill; a store that is full
// refuses new messages instead of trimming old ones, and goes on taking revocations and leases. One
// goroutine, the tail, hears the log in order and keeps its recent past in a window in memory, which
// answers whoever is not far behind; Read answers the others.
//
// # Positions and lives
//
// A position is one integer that grows over the whole store. It is meant together with the epoch of
// the log's life. A start that cannot prove that every acknowledged message survived begins a new
// life, whose first position follows the last one that is still there: without it new messages would
// take numbers that were given out before, and a reader would skip them. Stream and subjects carry
// the epoch, so what is meant for another life fails instead of being mixed up.
//
// Survival is proven by a clean stop, by the boot id (the process died but the system, and with it
// the page cache, did not), or because every publish was synced; and only if the store reaches as
// far as the witness, a small file beside it, says, and the witness is the very file that was
// written and no copy. What cannot be seen is a machine put back to an earlier snapshot as a whole.
//
// # Gaps
//
// History is gone below First, the oldest entry kept. Leases stand in the log every second and are
// removed by age alone, so First follows what age removed to within a second of the log; a message
// removed by its TTL or by hand above First is no gap.
//
// The package does not know sessions or sockets; it prepares frames because they are shared by all
// their receivers.
package broker
