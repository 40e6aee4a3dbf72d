// Package supabase is the directory for those who keep their accounts in a Supabase project: reads
// over its REST interface (PostgREST), and changes over its Realtime interface.
//
// It reports and never decides. Nothing is said before a start-up test has shown that a question for
// a random key comes back empty: some gateways take a parameter named apikey for the project's own
// key and drop it, and the question becomes one for every row. A row is believed only if it was asked
// for and is the only one; an absence only from a whole, well-formed answer to a key that may see
// every row. Whatever else comes back (a refusal, a page of a proxy, half an answer) is Unavailable.
//
// API keys travel in the body of a POST where the owner has installed the functions of package rows,
// and in the URL of a GET otherwise: then they are readable in the project's own API logs. The
// project's service key is in a header, except that Realtime wants it in the URL. Neither is ever in
// an error, a log line or a metric; answers are described by their status and code alone.
//
// Realtime promises nothing: changes can be lost silently. Its reports are for speed, the gateway's
// sweeps are for truth.
package supabase
