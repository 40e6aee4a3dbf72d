// Package standin is a stand-in for a Supabase project: its gateway, the part of PostgREST that tables
// and functions need, and Realtime's postgres_changes, all over a real PostgreSQL. It is for tests
// alone and is held to the truth by the real client in test/supabase.
//
// It keeps the traps of the platform, because they are what a directory must survive: the gateway eats
// a query parameter named apikey, long answers are cut without a word, errors carry the row they speak
// of, a join is answered before it is subscribed, and what changes in between is never sent. And it
// breaks in every way a project can, when told to: see Faults.
//
// It leaves out what no directory asks for: embedding, JSON paths, full text search, OpenAPI, broadcast,
// presence, storage and auth. It answers a request for any of that with an error, never with a guess.
package standin
