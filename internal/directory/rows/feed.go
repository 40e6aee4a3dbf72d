package rows

import _ "embed"

//go:embed feed.sql
var feed string

// Feed is the script of the triggers that send a NOTIFY for every change, for a driver that can
// LISTEN. Running it again changes nothing.
func (n Names) Feed() string { return n.fill(feed) }
