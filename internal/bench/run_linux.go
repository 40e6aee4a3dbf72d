package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fleetline/fleetline/api"
)

// scenario is one thing to measure.
type scenario struct {
	measure   func(ctx context.Context, r *run) error
	heartbeat time.Duration // of the server
	// windows is how many times it measures for Config.Duration; the limit in time follows from it.
	windows int
	// once keeps it out of further rounds: memory does not differ by the minute, and spells are rounds of their own.
	once bool
}

func scenarioOf(name string) scenario {
	return map[string]scenario{
		"idle":      {measure: idle, heartbeat: quietHeartbeat, once: true},
		"auth":      {measure: auth, heartbeat: quietHeartbeat},
		"heartbeat": {measure: heartbeat, heartbeat: busyHeartbeat, windows: 1},
		"fanout":    {measure: fanout, heartbeat: quietHeartbeat, windows: 8},
		"unicast":   {measure: unicast, heartbeat: quietHeartbeat, windows: 2},
		"storm":     {measure: storm, heartbeat: quietHeartbeat},
		"delete":    {measure: deletion, heartbeat: quietHeartbeat},
		"slow":      {measure: slow, heartbeat: quietHeartbeat, windows: 4 * spells, once: true},
	}[name]
}

const (
	quietHeartbeat = 30 * time.Second // what a gateway does if nobody asks
	busyHeartbeat  = time.Second
	// patience is the limit of a scenario beside its windows.
	patience = 4 * time.Minute
	// stepWithin bounds one step of a scenario.
	stepWithin = 60 * time.Second
)

// run is one scenario at one server.
type run struct {
	config  Config
	server  server
	gateway *gateway // nil at a peer
	crew    *crew
	posts   *poster
	key     api.Key // of the account that machines belong to
	addr    string
	dialect string
	result  *Result

	serverCPU, loadCPU time.Duration // while CPU was measured
}

// Run measures, one scenario after the other, each at every server and, in further rounds, again at
// every server. What one cannot do is noted in its result and in the error; the others go on.
func Run(ctx context.Context, c Config) (*Report, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	clampMachines(&c)
	report := &Report{Host: describeHost(), Machines: c.Machines, Seconds: c.Duration.Seconds(), Rounds: c.Rounds}
	var failed []string
	for _, name := range c.Scenarios {
		for _, x := range c.inTurn(ctx, name) {
			report.Results = append(report.Results, x)
			if x.Error != "" {
				failed = append(failed, name+" at "+x.Server)
			}
		}
		if ctx.Err() != nil {
			return report, context.Cause(ctx)
		}
	}
	if len(failed) > 0 {
		return report, fmt.Errorf("not measured whole: %s", strings.Join(failed, ", "))
	}
	return report, nil
}

// inTurn measures a scenario at each server in its turn, round after round: what the host does to
// figures for a minute falls on all servers, and the figures told are the medians of the rounds. Profiles
// cost the gateway something, and so have a round of their own.
func (c Config) inTurn(ctx context.Context, name string) (all []Result) {
	servers := []Peer{{Name: "fleetline"}}
	if slices.Contains(forPeers(), name) {
		servers = append(servers, c.Peers...)
	}
	told := c
	if c.roundsOf(name) > 1 {
		told.Profiles = ""
	}
	rounds := make([][]Result, len(servers))
	for round := 1; round <= c.roundsOf(name); round++ {
		for i, p := range servers {
			if ctx.Err() == nil {
				fmt.Fprintf(c.Log, "%s: %s, round %d\n", name, p.Name, round)
				rounds[i] = append(rounds[i], measure(ctx, told, name, p))
			}
		}
	}
	for _, of := range rounds {
		if len(of) > 0 {
			all = append(all, medianOf(of))
		}
	}
	if told.Profiles != c.Profiles && ctx.Err() == nil {
		fmt.Fprintf(c.Log, "%s: %s, profiles\n", name, servers[0].Name)
		all[0].profile(measure(ctx, c, name, servers[0]))
	}
	return all
}

func (c Config) roundsOf(name string) int {
	if scenarioOf(name).once {
		return 1
	}
	return c.Rounds
}

// reserved are the descriptors of a server that are no machine's.
const reserved = 1000

func clampMachines(c *Config) {
	if most := descriptors() - reserved; c.Machines > most {
		fmt.Fprintf(c.Log, "%d machines are more than this system's limit of %d descriptors a process carries: measuring with %d\n",
			c.Machines, descriptors(), max(most, least))
		c.Machines = max(most, least)
	}
}

// descriptors is how many a process may have; what it is not told is found out when it has too many.
func descriptors() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt32
	}
	return int(min(limit.Max, math.MaxInt32))
}

func describeHost() Host {
	info, _ := os.ReadFile("/proc/cpuinfo")
	memory, _ := os.ReadFile("/proc/meminfo")
	total, _ := kilobytes(memory, "MemTotal")
	var u unix.Utsname
	_ = unix.Uname(&u) // an empty text says as much
	return Host{
		CPU: parseCPUModel(string(info)), Cores: runtime.NumCPU(), MemoryMiB: uint64(total) >> 20,
		Kernel: unix.ByteSliceToString(u.Release[:]), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
	}
}

// measure measures a scenario at one server, and before and after it what the host takes for a write and
// for a fresh page: that differs from one minute to the next.
func measure(ctx context.Context, c Config, name string, p Peer) Result {
	load, _ := os.ReadFile("/proc/loadavg")
	result := Result{Scenario: name, Server: p.Name, Load: loadOf(string(load)), Figures: []Figure{}}
	before, err := costs()
	if err != nil {
		result.Error = err.Error()
		return result
	}
	began := time.Now()
	err = measureAt(ctx, c, p, &result)
	result.Took = math.Round(time.Since(began).Seconds()*10) / 10
	after, failed := costs()
	result.Write, result.Fault = micros(before.write, after.write), micros(before.fault, after.fault)
	if err := errors.Join(err, failed); err != nil {
		result.Error = err.Error()
	}
	return result
}

// measureAt gives a scenario a server and workers of its own, and ends them.
func measureAt(ctx context.Context, c Config, p Peer, result *Result) (err error) {
	s := scenarioOf(result.Scenario)
	ctx, cancel := context.WithTimeoutCause(ctx, patience+time.Duration(3*s.windows)*c.Duration, errors.New("the scenario took too long"))
	defer cancel()
	dir, err := os.MkdirTemp("", "fleetline-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := &run{config: c, result: result}
	if r.crew, err = startCrew(c.Program, max(2, min(runtime.NumCPU(), 8))); err != nil {
		return err
	}
	defer r.close() // the machines go first, so that the server need not wait for them
	if err := r.open(ctx, p, dir, s.heartbeat); err != nil {
		return err
	}
	if err := s.measure(ctx, r); err != nil {
		return r.server.process().lastWords(err)
	}
	if r.serverCPU > 0 {
		r.figure("serverSeconds", "CPU while it was measured: server", "s", r.serverCPU.Seconds())
		r.figure("loadSeconds", "CPU while it was measured: load", "s", r.loadCPU.Seconds())
	}
	return nil
}

// open starts the server and finds out how machines get in.
func (r *run) open(ctx context.Context, p Peer, dir string, heartbeat time.Duration) (err error) {
	if p.Command != nil {
		other := newPeer(p.Command, dir)
		r.server = other
		err = other.start(ctx, heartbeat)
		r.addr, r.dialect, r.key = other.told.Machines, other.told.Dialect, "key"
		r.posts = newPoster(other.told.Control)
	} else {
		if r.gateway, err = newGateway(r.config.Program, r.config.ServerArgs, dir); err != nil {
			return err
		}
		r.server, r.addr, r.dialect = r.gateway, r.gateway.machines, "fleetline"
		r.posts = newPoster(r.gateway.operator)
		if err = r.gateway.start(ctx, heartbeat); err == nil {
			_, r.key, err = r.gateway.account(ctx, "bench")
		}
	}
	return err
}

// close ends the workers and what was opened.
func (r *run) close() {
	r.crew.stop()
	if r.posts != nil {
		r.posts.close()
	}
	if r.gateway != nil {
		r.gateway.api.Close()
	}
	if r.server != nil && r.server.process() != nil {
		r.server.process().stop()
	}
}

// figure notes a number.
func (r *run) figure(key, text, unit string, value float64) {
	r.result.Figures = append(r.result.Figures, Figure{Key: key, Text: text, Unit: unit, Value: value})
}

// note says what a reader must know beside the figures.
func (r *run) note(format string, args ...any) {
	r.result.Notes = append(r.result.Notes, fmt.Sprintf(format, args...))
}

// times notes the quantiles of a histogram, in milliseconds.
func (r *run) times(key, text string, h *histogram, quantiles ...float64) {
	for _, q := range quantiles {
		name := fmt.Sprintf("p%g", q*100)
		if q == 1 {
			name = "max"
		}
		r.figure(key+"."+name+"Ms", text+" "+name, "ms", milliseconds(h.quantile(q)))
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// each is CPU time for one of n, in microseconds.
func each(cpu time.Duration, n float64) float64 {
	if n == 0 {
		return 0
	}
	return float64(cpu) / float64(time.Microsecond) / n
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
