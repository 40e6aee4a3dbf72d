// Package postgres is the directory whose accounts are rows of the owner's own table in PostgreSQL,
// and whose machines are rows beside them where the owner has run the migration of package rows.
//
// Every answer is from the primary: connections are made to no other, and each query that decides
// says whether the server is in recovery, and whether row-level security may hide rows. What fails
// either is Unavailable, like every error.
//
// Changes come by LISTEN from triggers that this package installs. Nothing is trusted to arrive: the
// path is proved by a NOTIFY to itself before it is called Live, and again whenever it has been quiet;
// that also finds poolers, behind which LISTEN is silently deaf. Where triggers may not be installed
// the watch stays Lost and says why, and comparing is all there is.
package postgres
