// Package embedded is the directory that needs nothing beside the gateway: accounts and machines as
// records in two JetStream key-value buckets, however many nodes share them.
//
// Every node holds both buckets in memory, so what exists is found without asking anybody. What is
// not found, or was deleted, is said only after the bucket's leader has told how far its records go
// and this node has read that far. A node that cannot hear the leader answers Unavailable.
//
// Writes are compare-and-swap on one record each. The machines that were ever enrolled under one
// account and hwid (or as the account's default machine) share one record, a slot, so of two nodes
// that enrol, delete or readmit at the same time one wins and the other adopts what the winner
// wrote. A change is stored first, then seen by readers, then reported to watchers. When machines
// were last seen lies apart, on pages of many: it is no part of any decision.
//
// Records of deleted accounts and machines stay for ever. Nothing else may write to the buckets.
package embedded
