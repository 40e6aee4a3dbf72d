// Package standin is a stand-in for a Supabase project: its gateway, the part of PostgREST that tables
// and functions need, and Realtime's postgres_changes, all over a real PostgreSQL. It is for tests
// alone and is held to the truth by the real client in test/supabase.
//
// It keeps the traps of the platform, because they are what a directory must survive: the gateway eats
// a query parameter named apikey, long answers are cut without a word, errors carry the row they speak
// of, a join is answered before it is subscribed, and what changes in between is never sent. And it
// breaks in every way a project can, when told to: see Faults.
//
// It leaves out what no directory asks for: embedding, JSON paths, full text search, OpenAPI, filters
// of subscriptions, broadcast, presence, storage and auth; those asked for are refused, not guessed. It
// leaves out waits too: the platform sleeps before it refuses a socket (2 s) or a join (5 s), looks for
// expired tokens every few minutes, and knows a new table only some seconds after it was made.
package standin
