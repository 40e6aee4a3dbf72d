// Package gateway is the machines' door: it takes their connections, finds out who they are, admits
// or refuses them, and cuts off those that are deleted.
//
// It owns two loops. One tails the log and hands its messages to the hub of sessions. The other
// listens to the directory and turns what it reports into cut sessions and revocations.
//
// # Deletion
//
// Cut at once, speak after proof. A reported deletion stops everything to and from the machine's
// sessions immediately; machine_deleted follows when a read of the primary still does not find the
// row. Without proof within two seconds the sessions are closed with 4007: come back, keep the key.
// Unavailable never means absent: a failed or empty read deletes nobody.
//
// Register, then check: a session enters the hub and then looks at the refused set; the refused set
// is updated before the hub is searched. Whichever comes first, the other sees it.
package gateway
