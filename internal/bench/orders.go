package bench

import "github.com/fleetline/fleetline/api"

// What a run and its workers say to each other: one JSON object a line. A run gives an order and
// waits for the answer with the same id; a worker also tells events, whose id is 0. Times are
// nanoseconds of the system's monotonic clock, which all processes of a host share.

// Orders, and what their answers carry.
const (
	doEnlist  = "enlist"  // takes machines on: nothing is connected yet
	doConnect = "connect" // connects the span's machines: Live, Failed, Took, Late, LongestWait, At
	doWatch   = "watch"   // begins to count anew: Live
	doCount   = "count"   // what has been counted: Data, Pongs, Ended, Delivery
	doStall   = "stall"   // stops to read
	doRest    = "rest"    // looks now and then from here on, and is woken by nothing
	doDrop    = "drop"    // breaks the connections off
	doIDs     = "ids"     // the machines' ids: IDs
)

// Events.
const (
	eventTurn    = "turn"    // as many data frames have come as Turn whole rounds of all machines
	eventDeleted = "deleted" // machine Machine has read its goodbye
)

// order is what a worker is told to do.
type order struct {
	ID int    `json:"id"`
	Do string `json:"do"`
	// From and To bound the machines it is about, by number; those that other workers hold are not
	// in it.
	From int `json:"from,omitempty"`
	To   int `json:"to,omitempty"`

	Enlist  *enlistment `json:"enlist,omitempty"`
	Connect *connecting `json:"connect,omitempty"`
	// Timed has doWatch take the time from the publisher's stamp in each message to its arrival.
	Timed bool `json:"timed,omitempty"`
}

// enlistment is what machines need to know to connect.
type enlistment struct {
	Addr    string  `json:"addr"`
	Dialect string  `json:"dialect"`
	Key     api.Key `json:"key"`
	// This worker holds every Workers-th machine, starting with Worker.
	Worker  int `json:"worker"`
	Workers int `json:"workers"`
	// Sources is how many addresses of 127.0.0.0/8 the machines are spread over.
	Sources int `json:"sources"`
}

// connecting is how machines are to connect.
type connecting struct {
	// Token has those that got a token come with it.
	Token bool `json:"token,omitempty"`
	// Small gives them a small receive buffer, so that one that stalls is felt soon.
	Small bool `json:"small,omitempty"`
	// Window is how many a worker connects at once.
	Window int `json:"window"`
	// Since is when the server could be reached. Nobody counts as late before it.
	Since int64 `json:"since,omitempty"`
	// WithinMs is when the worker gives up.
	WithinMs int64 `json:"withinMs"`
}

// answer is what a worker says.
type answer struct {
	ID    int    `json:"id,omitempty"`
	Event string `json:"event,omitempty"`
	Error string `json:"error,omitempty"`

	At      int64 `json:"at,omitempty"`
	Turn    int64 `json:"turn,omitempty"`
	Machine int   `json:"machine,omitempty"`

	Live     int            `json:"live,omitempty"`
	Data     int64          `json:"data,omitempty"`
	Pongs    int64          `json:"pongs,omitempty"`
	Failed   map[string]int `json:"failed,omitempty"` // attempts, by reason
	Ended    map[string]int `json:"ended,omitempty"`  // sessions, by reason
	IDs      []string       `json:"ids,omitempty"`
	Took     *histogram     `json:"took,omitempty"` // from the first packet to the welcome
	Late     *histogram     `json:"late,omitempty"` // from when a machine might come to the welcome
	Delivery *histogram     `json:"delivery,omitempty"`
	// LongestWaitMs is the longest time that the server asked a machine to wait.
	LongestWaitMs int64 `json:"longestWaitMs,omitempty"`
}
