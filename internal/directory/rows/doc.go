// Package rows is what the Postgres and the Supabase directory share: accounts that are rows of the
// owner's own table, machines that are rows beside them, and the SQL that makes this true.
//
// Migration is a script that the owner runs once. It makes the table of machines, which the owner's
// dashboard can list and delete from, the table of deletions, which triggers write in the transaction
// that deletes, and the functions named fleetline_*, through which Machines does everything. However
// a machine is deleted (here, by a dashboard, in SQL, together with its account, by TRUNCATE), the
// record is there as soon as the row is gone, so a deletion is never inferred from an absence.
//
// How a function is called is the driver's business: it gives a Caller.
package rows
