package main

import (
	"fmt"
	"math"
	"strings"
)

// goal is what one figure of the gateway is to reach.
type goal struct {
	scenario, key string
	// limit is in the figure's unit or, with a peer, a multiple of what that peer reaches.
	limit   float64
	peer    string
	isFloor bool // at least the limit; else at most
	// why is printed where the goal is missed: what holds it back, as profiles have shown.
	why string
}

// goalMachines is the fleet that the goals are set for.
const goalMachines = 15000

func atMost(scenario, key string, limit float64) goal {
	return goal{scenario: scenario, key: key, limit: limit}
}

func atLeast(scenario, key string, limit float64) goal {
	return goal{scenario: scenario, key: key, limit: limit, isFloor: true}
}

// of makes a goal a multiple of a peer's figure.
func (g goal) of(peer string) goal {
	g.peer = peer
	return g
}

// because says what holds a goal back where it is missed.
func (g goal) because(why string) goal {
	g.why = why
	return g
}

// goals are those of the whole product, not of an echo server.
func goals() []goal {
	const (
		holding = "what is counted is the growth of the process: the records of session and connection, the directory's entry and " +
			"what JetStream holds of the machine's record (some 200 bytes), and whatever the heap keeps in half used pages"
		connecting = "a third is the kernel's, although many are accepted, read and answered with one call: a connection is " +
			"accepted, heard twice and written to twice, and a write alone takes what is noted below; a sixth is memory and the " +
			"collector; the rest is spread thinly over the token's signature, JSON, the event, the line of the log and wake-ups"
		beating = "nearly four fifths are the kernel's: a write and a read for each machine, of which the write alone takes what " +
			"is noted below (a little less through io_uring); a tenth is waiting and being woken, and much of the rest is " +
			"memory that has left the caches since the last heartbeat"
		writing = "nine tenths are the kernel's write to each machine, which every server makes once for a message and of which " +
			"a call for many spares the way into the kernel alone; and for every server the load reads beside it, on the same " +
			"two processors"
		fewWrites = "nine tenths are the kernel's: with four on their way a machine is written to for every two or three " +
			"messages, and a write takes what is noted below"
		fullWrites = "several messages go with each write, so that copying them is much of it; the load, which reads and counts " +
			"each of them on the same two processors, takes about as much as the server"
		waking = "some fifteen goroutines wake each other between the publisher's request, the log, its tail and the answer, " +
			"on two processors that the load uses, too; a live message, which needs no log, spares a third of it"
		late = "server and load share two processors: a message waits behind whatever runs for a moment, the load's own " +
			"workers first, which were late themselves by what the table says"
		storming = "all come at once, so it is the CPU of connecting everybody, at both ends, on two processors"
		asking   = "questions are put together while one is on its way, so a directory that answers sooner, or machines that come " +
			"less at once, make more of them"
		cutting = "a deletion is a compare and swap in the log and the wake-ups between it, the gateway and the socket, and waits " +
			"behind whatever else runs on two processors"
		stalling = "those that do not read cost no write, so the profile is that of writes to the others; server and load share " +
			"two processors, and so few messages are sent that a p99 is that of the slowest, which anything may have held up"
		stalled   = "a machine that is behind keeps its position and at most one partial frame; the rest is the log's window"
		simulated = "sockets and rows are simulated in the same process, whose CPU and memory cannot be told wholly from the gateway's"
	)
	return []goal{
		atMost("idle", "connected.bytes", 450).because(holding),
		atMost("idle", "everything.bytes", 1000).because(holding),
		atMost("idle", "everything.bytes", .2).of("node").because(holding),
		atMost("auth", "key.cpuMicros", 55).because(connecting),
		atMost("auth", "key.cpuMicros", .5).of("node").because(connecting),
		atMost("auth", "token.cpuMicros", 50).because(connecting),
		atMost("heartbeat", "cpuMicros", 8.5).because(beating),
		atMost("heartbeat", "cpuMicros", .35).of("node").because(beating),
		atMost("fanout", "live128.last.p50Ms", .6).of("node").because(writing),
		atMost("fanout", "live128.last.p50Ms", .6).of("centrifuge").because(writing),
		atMost("fanout", "live128.last.p50Ms", .75).of("gorilla").because(writing),
		atMost("fanout", "live128.last.p50Ms", .75).of("coder").because(writing),
		atLeast("fanout", "live128.with4.perSecond", 500_000).because(fewWrites),
		atLeast("fanout", "live128.with64.perSecond", 3_000_000).because(fullWrites),
		atLeast("fanout", "live128.with64.perSecond", 10).of("node").because(fullWrites),
		atLeast("fanout", "live128.with64.perSecond", 10).of("centrifuge").because(fullWrites),
		atLeast("fanout", "stored128.with64.perSecond", 1_500_000).because(fullWrites),
		atMost("unicast", "stored.p50Ms", .3).because(waking),
		atMost("unicast", "stored.p99Ms", 1).because(late),
		atMost("storm", "killKey.allBackMs", 2000).because(storming),
		atMost("storm", "killKey.batches", 120).because(asking),
		atMost("storm", "killToken.allBackMs", 2000).because(storming),
		atMost("storm", "killToken.batches", 120).because(asking),
		atMost("delete", "goodbye.p99Ms", 2).because(cutting),
		atMost("slow", "p99Ratio", 1.2).because(stalling),
		atMost("slow", "stopped.p99Ratio", 1.2).because(stalling),
		atMost("slow", "stopped.peakMiB", 64).because(stalled),
		atMost(millionScenario, "B/session", 300).because(simulated),
		atMost(millionScenario, "cores/heartbeats", .3).because(simulated),
		atMost(millionScenario, "ms/GC-cycle", 20).because(simulated),
	}
}

// outcome is what came of a goal. Found is false if it was not measured.
type outcome struct {
	goal
	reached float64 // comparable with the limit
	found   bool
}

func (g goal) judge(r *report) outcome {
	own, found := r.value("fleetline", g.scenario, g.key)
	if g.peer == "" || !found {
		return outcome{g, own, found}
	}
	other, found := r.value(g.peer, g.scenario, g.key)
	if !found || other == 0 {
		return outcome{goal: g}
	}
	return outcome{g, own / other, true}
}

// hit goes by what is printed: three digits.
func (o outcome) hit() bool {
	reached := threeDigits(o.reached)
	return o.found && (o.isFloor && reached >= o.limit || !o.isFloor && reached <= o.limit)
}

func threeDigits(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

func (o outcome) String() string {
	switch {
	case !o.found:
		return o.wanted() + ": not measured"
	case o.hit():
		return o.wanted() + ": reached"
	}
	return o.wanted() + ": **missed**"
}

// wanted is the goal as it is written.
func (g goal) wanted() string {
	sign, of := "<=", ""
	if g.isFloor {
		sign = ">="
	}
	if g.peer != "" {
		of = "x " + g.peer
	}
	return sign + " " + short(g.limit) + of
}

func outcomes(r *report, scenario string) (all []outcome) {
	for _, g := range goals() {
		if g.scenario == scenario || scenario == "" {
			all = append(all, g.judge(r))
		}
	}
	return all
}

// overview counts the goals.
func overview(b *strings.Builder, r *report) {
	var hit, measured int
	for _, o := range outcomes(r, "") {
		if o.found {
			measured++
		}
		if o.hit() {
			hit++
		}
	}
	fmt.Fprintf(b, "- Goals: %d of %d that were measured are reached\n", hit, measured)
	if r.Machines != goalMachines {
		fmt.Fprintf(b, "- The goals are for %d machines, and this run was made with %d\n", goalMachines, r.Machines)
	}
}

// goalsBeside are the goals of one figure.
func goalsBeside(r *report, scenario string, f figure) string {
	var all []string
	for _, o := range outcomes(r, scenario) {
		if o.key == f.Key {
			all = append(all, o.String())
		}
	}
	return strings.Join(all, "; ")
}

// misses tells by how much each goal of the scenario is missed, and why.
func misses(b *strings.Builder, r *report, scenario string) {
	for _, o := range outcomes(r, scenario) {
		if !o.found || o.hit() {
			continue
		}
		fmt.Fprintf(b, "- **Missed** by %s: %s%s, where the goal is %s. What holds it back: %s.\n", o.by(), o.text(r), o.inRounds(r), o.wanted(), o.why)
	}
}

// by is how far the figure is from the limit.
func (o outcome) by() string {
	if o.limit == 0 {
		return short(o.reached)
	}
	return fmt.Sprintf("%.0f %%", 100*math.Abs(o.reached-o.limit)/o.limit)
}

// inRounds is what was reached in each round, where there were several.
func (o outcome) inRounds(r *report) string {
	own, peer := r.figure("fleetline", o.scenario, o.key), r.figure(o.peer, o.scenario, o.key)
	var all []string
	for i, v := range own.Rounds {
		if o.peer != "" {
			if i >= len(peer.Rounds) || peer.Rounds[i] == 0 {
				return ""
			}
			v /= peer.Rounds[i]
		}
		all = append(all, short(v))
	}
	if len(all) == 0 {
		return ""
	}
	return " (in the rounds: " + strings.Join(all, ", ") + ")"
}

// text is how the figure is called in its table, and what it is.
func (o outcome) text(r *report) string {
	reached := short(o.reached)
	if o.peer != "" {
		reached += "x " + o.peer
	}
	return r.figure("fleetline", o.scenario, o.key).Text + " " + reached
}
