package rows

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"strings"
)

//go:embed feed.sql
var feed string

// Feed is the script of the triggers that send a NOTIFY for every change, for a driver that can
// LISTEN. Running it again changes nothing.
func (n Names) Feed() string { return strings.Replace(n.fill(feed), "@mark@", n.mark(), 1) }

// FeedState is a query for one row: the channel that the triggers notify, and whether they are all
// there, in this version, and fire always.
func (n Names) FeedState() string { return strings.Replace(n.fill(feedState), "@mark@", n.mark(), 1) }

// mark tells one version of the triggers from another.
func (n Names) mark() string {
	sum := sha256.Sum256([]byte(n.fill(feed)))
	return "Fleetline " + hex.EncodeToString(sum[:8])
}

const feedState = `select 'fleetline_' || @accounts_literal@::regclass::oid,
  coalesce(obj_description(to_regprocedure(@schema_literal@ || '.fleetline_tell_account()'), 'pg_proc') = '@mark@', false)
  and (select count(*) = case when to_regclass(@deletions_literal@) is null then 3 else 5 end from pg_trigger
    where tgrelid in (@accounts_literal@::regclass, to_regclass(@deletions_literal@)) and starts_with(tgname, 'fleetline_tell') and tgenabled = 'A')`
