// Package bench measures a gateway from outside: it starts one as its child, connects machines by the
// thousand, publishes through the operators' API, and reads what that cost from the system.
//
// The machines live in worker processes, which are this program again. Each is one epoll loop over
// raw descriptors that counts frames and decodes only those it must, so that on a small box the
// gateway is what is measured and not the load. A worker takes orders as lines of JSON on its
// standard input, answers on its standard output, and ends when its input does.
//
// Every scenario has a server of its own and a limit in time, and stops what it started. The package
// promises no figure: it says what it saw, and how many messages or machines it lost on the way.
//
// Other servers of the same small protocol can be measured beside the gateway; see Peer.
package bench

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// ErrNeedsLinux says that the load generator is built for Linux alone: it is epoll and /proc.
var ErrNeedsLinux = errors.New("the load generator needs Linux: it is built on epoll and /proc")

// WorkerCommand is the word with which the program must start Work.
const WorkerCommand = "bench-worker"

// Scenarios are the names of all there are, in the order in which they run.
func Scenarios() []string {
	return []string{"idle", "auth", "heartbeat", "fanout", "unicast", "storm", "delete", "slow"}
}

// forPeers are the scenarios that other servers can take part in.
func forPeers() []string { return []string{"idle", "auth", "heartbeat", "fanout", "unicast"} }

// Config says what to measure.
type Config struct {
	// Program is the path of fleetline; it serves and it works. Required.
	Program string
	// Scenarios are names out of Scenarios. nil: all.
	Scenarios []string
	// Machines is how many are connected. 0: 15,000. More than the descriptors of this system carry
	// are brought down to what they do.
	Machines int
	// Duration is how long each rate is measured. 0: 5 s.
	Duration time.Duration
	// Rounds is how often each scenario is measured, at each server in its turn; the figures are the medians.
	// Those of memory, and what takes medians itself, are measured once. 0: 1.
	Rounds int
	// Rest is how long a gateway is left alone after machines have come, while it does what that leaves
	// behind. 0: as long as that takes. Less spoils the figures: it is for tests, which compare none.
	Rest time.Duration
	// ServerArgs are further flags of the gateway.
	ServerArgs []string
	// Peers are measured beside the gateway, in the scenarios that they can take part in.
	Peers []Peer
	// Profiles is a folder for CPU profiles of the gateway, one for each part that is measured; where there
	// are several rounds, of another one that is not told. "": none.
	Profiles string
	// Log takes a line for each step. nil: nobody is told.
	Log io.Writer
}

// Peer is another server. Its command is started with --heartbeat DURATION added, prints one line
// {"machines":"host:port","control":"host:port","dialect":"fleetline"} to its standard output, and
// ends at SIGTERM. Dialect centrifuge is that library's own JSON protocol. At control it answers
// POST /all and POST /machine?id=ID, whose body is the data of a live message, GET /live, with the
// number of sessions, and POST /gc, which gives memory back to the system.
type Peer struct {
	Name    string
	Command []string
}

// ParsePeer reads NAME=COMMAND; the command's words are parted by spaces.
func ParsePeer(text string) (Peer, error) {
	name, command, found := strings.Cut(text, "=")
	words := strings.Fields(command)
	if !found || name == "" || len(words) == 0 {
		return Peer{}, fmt.Errorf("%q is no peer: write NAME=COMMAND", text)
	}
	return Peer{Name: name, Command: words}, nil
}

func (c Config) withDefaults() Config {
	if len(c.Scenarios) == 0 {
		c.Scenarios = Scenarios()
	}
	if c.Machines == 0 {
		c.Machines = 15000
	}
	if c.Duration == 0 {
		c.Duration = 5 * time.Second
	}
	if c.Rounds == 0 {
		c.Rounds = 1
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	return c
}

// least is how many machines every scenario can be run with.
const least = 100

const mostRounds = 99

// Check says everything that is wrong with c.
func (c Config) Check() error {
	c = c.withDefaults()
	var problems []error
	for _, name := range c.Scenarios {
		if !slices.Contains(Scenarios(), name) {
			problems = append(problems, fmt.Errorf("there is no scenario %q: choose from %s", name, strings.Join(Scenarios(), ", ")))
		}
	}
	if c.Machines < least {
		problems = append(problems, fmt.Errorf("%d machines are too few: take %d or more", c.Machines, least))
	}
	if c.Duration < 100*time.Millisecond || c.Duration > 10*time.Minute {
		problems = append(problems, fmt.Errorf("a duration of %s: choose between 100ms and 10m", c.Duration))
	}
	if c.Rounds < 1 || c.Rounds > mostRounds {
		problems = append(problems, fmt.Errorf("%d rounds: choose between 1 and %d", c.Rounds, mostRounds))
	}
	if c.Program == "" {
		problems = append(problems, errors.New("the program is missing"))
	}
	return errors.Join(problems...)
}
