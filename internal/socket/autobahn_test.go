package socket_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/internal/socket"
	"github.com/fleetline/fleetline/internal/socket/frame"
)

// The cases of the Autobahn test suite for servers, groups 1 to 7, 9 and 10, by their ids. The engine
// under test echoes text, as the suite wants. Binary messages are told to the handler and not kept,
// so that of their cases everything applies but the echo.

// autobahnIDs says how many cases each group of the suite has.
var autobahnIDs = []struct {
	group string
	cases int
}{
	{"1.1", 8}, {"1.2", 8}, {"2", 11}, {"3", 7}, {"4.1", 5}, {"4.2", 5}, {"5", 20},
	{"6.1", 3}, {"6.2", 4}, {"6.3", 2}, {"6.4", 4}, {"6.5", 5}, {"6.6", 11}, {"6.7", 4}, {"6.8", 2}, {"6.9", 4},
	{"6.10", 3}, {"6.11", 5}, {"6.12", 8}, {"6.13", 5}, {"6.14", 10}, {"6.15", 1}, {"6.16", 3}, {"6.17", 5},
	{"6.18", 5}, {"6.19", 5}, {"6.20", 7}, {"6.21", 8}, {"6.22", 34}, {"6.23", 7},
	{"7.1", 6}, {"7.3", 6}, {"7.5", 1}, {"7.7", 13}, {"7.9", 9}, {"7.13", 2},
	{"9.1", 6}, {"9.2", 6}, {"9.3", 9}, {"9.4", 9}, {"9.5", 6}, {"9.6", 6}, {"9.7", 6}, {"9.8", 6}, {"10.1", 1},
}

// turn is what the peer sends, in one write or in chops, and what it is answered before it goes on.
type turn struct {
	sent    []byte
	large   func() []byte // in place of sent: made when its turn comes
	chop    int
	answers []string
}

// autobahn is one case. The last answer is the close frame, whose reason does not count.
type autobahn struct {
	id     string
	turns  []turn
	binary int // of the first turns, whose binary messages the handler is told of
}

func say(answers []string, frames ...[]byte) turn {
	return turn{sent: stream(frames...), answers: answers}
}

func got(answers ...string) []string { return answers }

// closes ends a case as the suite ends those in which nothing is wrong.
func closes() turn { return say(got("close 1000"), closing(1000, "")) }

// clean is a case in which nothing is wrong.
func clean(id string, turns ...turn) autobahn {
	return autobahn{id: id, turns: append(turns, closes())}
}

// fails is a case whose last turn breaks the connection with a code.
func fails(id string, code int, turns ...turn) autobahn {
	last := &turns[len(turns)-1]
	last.answers = append(last.answers, fmt.Sprintf("close %d", code))
	return autobahn{id: id, turns: turns}
}

// chopped is one message of n octets, as the suite repeats a character.
func chopped(b0 byte, n, chop int) turn {
	sign := map[byte]string{0x81: "*", 0x82: "\xfe"}[b0]
	payload := strings.Repeat(sign, n)
	t := turn{large: func() []byte { return masked(b0, payload) }, chop: chop}
	if b0 == 0x81 {
		t.answers = got(payload)
	}
	return t
}

// inFragments is one message in frames of a size.
func inFragments(op byte, payload string, size int) (frames [][]byte) {
	for rest := payload; ; op = 0 {
		if len(rest) <= size {
			return append(frames, masked(0x80|op, rest))
		}
		frames, rest = append(frames, masked(op, rest[:size])), rest[size:]
	}
}

func autobahnFraming() (cases []autobahn) {
	sizes := []int{0, 125, 126, 127, 128, 65535, 65536, 65536}
	for i, n := range sizes {
		chop := 0
		if i == 7 {
			chop = 997
		}
		cases = append(cases, clean(fmt.Sprintf("1.1.%d", i+1), chopped(0x81, n, chop)))
		binary := clean(fmt.Sprintf("1.2.%d", i+1), chopped(0x82, n, chop))
		binary.binary = 1
		cases = append(cases, binary)
	}
	return cases
}

func autobahnPings() []autobahn {
	odd := "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
	var tenPings, tenPongs []byte
	var answers []string
	for i := range 10 {
		payload := fmt.Sprint("payload-", i)
		tenPings = append(tenPings, masked(0x89, payload)...)
		answers = append(answers, "pong "+payload)
	}
	tenPongs = masked(0x8A, "unsolicited")
	return []autobahn{
		clean("2.1", say(got("pong "), masked(0x89, ""))),
		clean("2.2", say(got("pong Hello, world!"), masked(0x89, "Hello, world!"))),
		clean("2.3", say(got("pong "+odd), masked(0x89, odd))),
		clean("2.4", say(got("pong "+big(125)), masked(0x89, big(125)))),
		fails("2.5", 1002, say(nil, masked(0x89, big(126)))),
		clean("2.6", turn{sent: masked(0x89, big(125)), chop: 1, answers: got("pong " + big(125))}),
		clean("2.7", say(nil, masked(0x8A, ""))),
		clean("2.8", say(nil, masked(0x8A, "unsolicited"))),
		clean("2.9", say(got("pong ping"), tenPongs, masked(0x89, "ping"))),
		clean("2.10", turn{sent: tenPings, answers: answers}),
		clean("2.11", turn{sent: tenPings, chop: 1, answers: answers}),
	}
}

func autobahnHeaders() []autobahn {
	hello := masked(0x81, "Hello, world!")
	cases := []autobahn{
		fails("3.1", 1002, say(nil, masked(0x91, "small text message"))),
		fails("3.2", 1002, say(got("Hello, world!"), hello, masked(0xA1, "Hello, world!"), masked(0x89, ""))),
		fails("3.3", 1002, say(got("Hello, world!"), hello), say(nil, masked(0xB1, "Hello, world!"), masked(0x89, ""))),
		fails("3.4", 1002, turn{sent: stream(hello, masked(0xC1, "Hello, world!"), masked(0x89, "")), chop: 1, answers: got("Hello, world!")}),
		fails("3.5", 1002, say(nil, masked(0xD2, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"))),
		fails("3.6", 1002, say(nil, masked(0xE9, "Hello, world!"))),
		fails("3.7", 1002, say(nil, masked(0xF8, ""))),
	}
	for group, first := range map[string]byte{"4.1": 3, "4.2": 11} {
		for i := range 5 {
			unknown, id := masked(0x80|(first+byte(i)), big(i)), fmt.Sprintf("%s.%d", group, i+1)
			switch i {
			case 0, 1:
				cases = append(cases, fails(id, 1002, say(nil, unknown)))
			case 2, 3:
				cases = append(cases, fails(id, 1002, say(got("Hello, world!"), hello, unknown, masked(0x89, ""))))
			default:
				cases = append(cases, fails(id, 1002, turn{sent: stream(hello, unknown, masked(0x89, "")), chop: 1, answers: got("Hello, world!")}))
			}
		}
	}
	return cases
}

func autobahnFragments() []autobahn {
	f1, f2 := masked(0x01, "fragment1"), masked(0x80, "fragment2")
	ping := masked(0x89, "ping payload")
	both := got("pong ping payload", "fragment1fragment2")
	nothing, nothingMore := masked(0x80, "non-continuation payload"), masked(0x00, "non-continuation payload")
	hello := masked(0x81, "Hello, world!")
	in := func(chop int, f ...[]byte) turn { return turn{sent: stream(f...), chop: chop} }
	answered := func(t turn, answers ...string) turn { t.answers = answers; return t }
	twice := stream(masked(0x00, "fragment1"), masked(0x80, "fragment2"))
	cases := []autobahn{
		fails("5.1", 1002, say(nil, masked(0x09, "fragment1"), masked(0x80, "fragment2"))),
		fails("5.2", 1002, say(nil, masked(0x0A, "fragment1"), masked(0x80, "fragment2"))),
		clean("5.3", say(got("fragment1fragment2"), f1, f2)),
		clean("5.4", say(nil, f1), say(got("fragment1fragment2"), f2)),
		clean("5.5", answered(in(1, f1, f2), "fragment1fragment2")),
		clean("5.6", say(both, f1, ping, f2)),
		clean("5.7", say(both[:1], f1, ping), say(both[1:], f2)),
		clean("5.8", answered(in(1, f1, ping, f2), both...)),
		fails("5.9", 1002, in(0, nothing, hello)),
		fails("5.10", 1002, say(nil, nothing, hello)),
		fails("5.11", 1002, in(1, nothing, hello)),
		fails("5.12", 1002, in(0, nothingMore, hello)),
		fails("5.13", 1002, say(nil, nothingMore, hello)),
		fails("5.14", 1002, in(1, nothingMore, hello)),
		fails("5.15", 1002, say(got("fragment1fragment2"), f1, f2, masked(0x00, "fragment3"), masked(0x81, "fragment4"))),
		fails("5.16", 1002, say(nil, nothingMore, hello, twice)),
		fails("5.17", 1002, say(nil, nothing, hello, twice)),
		fails("5.18", 1002, say(nil, f1, masked(0x81, "fragment2"))),
	}
	for _, id := range []string{"5.19", "5.20"} {
		cases = append(cases, clean(id,
			say(got("pong pongme 1!"), masked(0x01, "fragment1"), masked(0x00, "fragment2"), masked(0x89, "pongme 1!")),
			say(got("pong pongme 2!", "fragment1fragment2fragment3fragment4fragment5"), masked(0x00, "fragment3"),
				masked(0x00, "fragment4"), masked(0x89, "pongme 2!"), masked(0x80, "fragment5"))))
	}
	return cases
}

const kosme = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"

func autobahnUTF8() []autobahn {
	text := "Hello-\u00b5@\u00df\u00f6\u00e4\u00fc\u00e0\u00e1-UTF-8!!"
	wrong := kosme + "\xed\xa0\x80edited"
	tooFar := "\xf4\x90\x80\x80"
	cases := []autobahn{
		clean("6.1.1", say(got(""), masked(0x81, ""))),
		clean("6.1.2", say(got(""), masked(0x01, ""), masked(0x00, ""), masked(0x80, ""))),
		clean("6.1.3", say(got("middle frame payload"), masked(0x01, ""), masked(0x00, "middle frame payload"), masked(0x80, ""))),
		clean("6.2.1", say(got(text), masked(0x81, text))),
		clean("6.2.2", say(got(text), masked(0x01, text[:12]), masked(0x80, text[12:]))),
		clean("6.2.3", say(got(text), inFragments(1, text, 1)...)),
		clean("6.2.4", say(got(kosme), inFragments(1, kosme, 1)...)),
		fails("6.3.1", 1007, say(nil, masked(0x81, wrong))),
		fails("6.3.2", 1007, say(nil, inFragments(1, wrong, 1)...)),
		// Wrong text ends the connection before the rest of the message has come.
		fails("6.4.1", 1007, say(nil, masked(0x01, kosme)), say(nil, masked(0x00, tooFar))),
		fails("6.4.2", 1007, say(nil, masked(0x01, kosme+"\xf4")), say(nil, masked(0x00, "\x90"))),
	}
	head := frame.AppendHeader(nil, frame.Header{Final: true, Op: frame.OpText, Masked: true, Key: testKey, Length: uint64(len(kosme + tooFar + "edited"))})
	body := masked(0x81, kosme+tooFar+"edited")[len(head):]
	at := len(kosme)
	return append(cases,
		fails("6.4.3", 1007, say(nil, head, body[:at]), say(nil, body[at:at+4], body[at+4:])),
		fails("6.4.4", 1007, say(nil, head, body[:at+1]), say(nil, body[at+1:at+2], body[at+2:])))
}

// kuhn are Markus Kuhn's UTF-8 stress tests, by the suite's numbers from 6.5 on.
func kuhn() [][]string {
	through := func(from, to int, behind string) (s string) {
		for b := from; b < to; b++ {
			s += string([]byte{byte(b)}) + behind
		}
		return s
	}
	cut := []string{"\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80",
		"\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf"}
	var prefixes []string
	for i := range len(kosme) {
		prefixes = append(prefixes, kosme[:i+1])
	}
	nonCharacters := []string{"\xef\xbf\xbe", "\xef\xbf\xbf"}
	for plane := 1; plane <= 16; plane++ {
		nonCharacters = append(nonCharacters, string(rune(plane<<16|0xFFFE)), string(rune(plane<<16|0xFFFF)))
	}
	return [][]string{
		{"hello$world", "hello\xc2\xa2world", "hello\xe2\x82\xacworld", "hello\xf0\xa4\xad\xa2world", kosme},
		prefixes,
		{"\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80"},
		{"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"},
		{"\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf"},
		{"\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf"},
		{"\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf", "\xf4\x90\x80\x80"},
		{"\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf", "\x80\xbf\x80\xbf\x80", "\x80\xbf\x80\xbf\x80\xbf", through(0x80, 0xbf, "")},
		{through(0xc0, 0xdf, " "), through(0xe0, 0xef, " "), through(0xf0, 0xf7, " "), through(0xf8, 0xfb, " "), through(0xfc, 0xfd, " ")},
		cut,
		{strings.Join(cut, "")},
		{"\xfe", "\xff", "\xfe\xfe\xff\xff"},
		{"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf"},
		{"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf"},
		{"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80"},
		{"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf"},
		{"\xed\xa0\x80\xed\xb0\x80", "\xed\xa0\x80\xed\xbf\xbf", "\xed\xad\xbf\xed\xb0\x80", "\xed\xad\xbf\xed\xbf\xbf",
			"\xed\xae\x80\xed\xb0\x80", "\xed\xae\x80\xed\xbf\xbf", "\xed\xaf\xbf\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf"},
		nonCharacters,
		{"\xef\xbf\xb9", "\xef\xbf\xba", "\xef\xbf\xbb", "\xef\xbf\xbc", "\xef\xbf\xbd", "\xef\xbf\xbe", "\xef\xbf\xbf"},
	}
}

// goodKuhn are the groups of kuhn in which all is UTF-8, and single cases of others.
var goodKuhn = []string{"6.5.", "6.6.2", "6.6.5", "6.6.7", "6.6.9", "6.6.11", "6.7.", "6.9.", "6.11.1", "6.11.2", "6.11.3", "6.11.4", "6.22.", "6.23."}

func autobahnKuhn() (cases []autobahn) {
	for g, texts := range kuhn() {
		for i, text := range texts {
			id := fmt.Sprintf("6.%d.%d", g+5, i+1)
			good := slices.ContainsFunc(goodKuhn, func(known string) bool {
				return id == known || strings.HasSuffix(known, ".") && strings.HasPrefix(id, known)
			})
			if good {
				cases = append(cases, clean(id, say(got(text), masked(0x81, text))))
			} else {
				cases = append(cases, fails(id, 1007, say(nil, masked(0x81, text))))
			}
		}
	}
	return cases
}

func autobahnClosing() []autobahn {
	bye, hello := closing(1000, ""), masked(0x81, "Hello World!")
	long := strings.Repeat("BAsd7&jh23", 256<<10/10)
	cases := []autobahn{
		clean("7.1.1", say(got("Hello World!"), hello)),
		{id: "7.1.2", turns: []turn{say(got("close 1000"), bye, bye)}},
		{id: "7.1.3", turns: []turn{say(got("close 1000"), bye, masked(0x89, "ping"))}},
		{id: "7.1.4", turns: []turn{say(got("close 1000"), bye, hello)}},
		{id: "7.1.5", turns: []turn{say(got("close 1000"), masked(0x01, "fragment1"), bye, masked(0x80, "fragment2"))}},
		// The suite leaves open what comes of it: all that was said before the close is answered before.
		{id: "7.1.6", turns: []turn{say(got(long), masked(0x81, long)), say(got("Hello World!", "close 1000"), hello, bye, masked(0x89, ""))}},
		{id: "7.3.1", turns: []turn{say(got("close 1005"), masked(0x88, ""))}},
		fails("7.3.2", 1002, say(nil, masked(0x88, "a"))),
		{id: "7.3.3", turns: []turn{say(got("close 1000"), bye)}},
		{id: "7.3.4", turns: []turn{say(got("close 1000"), closing(1000, "Hello World!"))}},
		{id: "7.3.5", turns: []turn{say(got("close 1000"), closing(1000, strings.Repeat("*", 123)))}},
		fails("7.3.6", 1002, say(nil, masked(0x88, "\x03\xe8"+strings.Repeat("*", 124)))),
		fails("7.5.1", 1007, say(nil, masked(0x88, "\x03\xe8"+kosme+"\xed\xa0\x80edited"))),
		fails("7.13.1", 1002, say(nil, masked(0x88, "\x13\x88"))),
		fails("7.13.2", 1002, say(nil, masked(0x88, "\xff\xff"))),
	}
	for i, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		cases = append(cases, autobahn{id: fmt.Sprintf("7.7.%d", i+1), turns: []turn{say(got(fmt.Sprintf("close %d", code)), closing(code, ""))}})
	}
	for i, code := range []uint16{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999} {
		cases = append(cases, fails(fmt.Sprintf("7.9.%d", i+1), 1002, say(nil, masked(0x88, string([]byte{byte(code >> 8), byte(code)})))))
	}
	return cases
}

func autobahnLimits() (cases []autobahn) {
	add := func(group string, i int, b0 byte, turns ...turn) {
		c := clean(fmt.Sprintf("%s.%d", group, i+1), turns...)
		if b0 == 0x82 {
			c.binary = len(turns)
		}
		cases = append(cases, c)
	}
	for i, size := range []int{64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20, 16 << 20} {
		add("9.1", i, 0x81, chopped(0x81, size, 0))
		add("9.2", i, 0x82, chopped(0x82, size, 0))
	}
	text, binary := strings.Repeat("*", 4<<20), strings.Repeat("\xfe", 4<<20)
	for i, size := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20} {
		add("9.3", i, 0x81, turn{large: func() []byte { return stream(inFragments(1, text, size)...) }, answers: got(text)})
		add("9.4", i, 0x82, turn{large: func() []byte { return stream(inFragments(2, binary, size)...) }})
	}
	for i, chop := range []int{64, 128, 256, 512, 1024, 2048} {
		add("9.5", i, 0x81, chopped(0x81, 1<<20, chop))
		add("9.6", i, 0x82, chopped(0x82, 1<<20, chop))
	}
	for i, size := range []int{0, 16, 64, 256, 1024, 4096} {
		add("9.7", i, 0x81, slices.Repeat([]turn{chopped(0x81, size, 0)}, 1000)...)
		add("9.8", i, 0x82, slices.Repeat([]turn{chopped(0x82, size, 0)}, 1000)...)
	}
	message := strings.Repeat("*", 65536)
	return append(cases, clean("10.1.1", say(got(message), inFragments(1, message, 1300)...)))
}

func TestTheCasesOfAutobahnAreListedOneByOne(t *testing.T) {
	listed := make(map[string]bool)
	for _, c := range slices.Concat(autobahnSmall(), autobahnLimits()) {
		if listed[c.id] {
			t.Errorf("case %s is listed twice", c.id)
		}
		listed[c.id] = true
	}
	for _, g := range autobahnIDs {
		for i := range g.cases {
			id := fmt.Sprintf("%s.%d", g.group, i+1)
			if !listed[id] {
				t.Errorf("case %s is missing", id)
			}
			delete(listed, id)
		}
	}
	for id := range listed {
		t.Errorf("case %s is not in the suite", id)
	}
}

func autobahnSmall() []autobahn {
	return slices.Concat(autobahnFraming(), autobahnPings(), autobahnHeaders(), autobahnFragments(),
		autobahnUTF8(), autobahnKuhn(), autobahnClosing())
}

func TestTheCasesOfAutobahnPass(t *testing.T) {
	runAutobahn(t, doors, autobahnSmall())
}

func TestTheLimitsOfAutobahnPass(t *testing.T) {
	runAutobahn(t, []string{"native", "tcp"}, autobahnLimits())
}

func runAutobahn(t *testing.T, kinds []string, cases []autobahn) {
	everywhere(t, socket.Config{MaxFrame: 16 << 20}, kinds, func(t *testing.T, b *rig) {
		b.recorder.onFrame = func(id socket.ID, payload []byte) {
			if !b.engine.Send(id, socket.Prepare(payload)) {
				b.recorder.note("echo refused")
			}
		}
		for _, c := range cases {
			t.Run(c.id, func(t *testing.T) { c.run(t, b) })
		}
	})
}

func (c autobahn) run(t *testing.T, b *rig) {
	_, far := b.open(t)
	peer := far.(*rawPeer)
	for i, turn := range c.turns {
		written := make(chan struct{})
		go func() {
			defer close(written)
			turn.write(peer)
		}()
		turn.check(t, peer)
		receive(t, written)
		if i < c.binary {
			b.recorder.expect(t, "binary")
		}
	}
	peer.drop()
	last := c.turns[len(c.turns)-1].answers
	code := strings.TrimPrefix(last[len(last)-1], "close ")
	if heard := b.recorder.next(t); !strings.HasPrefix(heard, "closed by") || !strings.Contains(heard, code) {
		t.Errorf("handler heard %q, want a close with %s", heard, code)
	}
}

func (u turn) write(peer *rawPeer) {
	sent, chop := u.sent, u.chop
	if u.large != nil {
		sent = u.large()
	}
	if chop == 0 {
		chop = max(1, len(sent))
	}
	for part := range slices.Chunk(sent, chop) {
		if peer.writeRaw(part) != nil {
			return // it was closed on, which the answers show
		}
	}
}

// check reads the answers. Of pings that came together only the last need be answered (RFC 6455 5.5.3).
func (u turn) check(t *testing.T, peer *rawPeer) {
	for i := 0; i < len(u.answers); i++ {
		want, answer := u.answers[i], peer.read(t)
		for isPong(want) && answer != want && i+1 < len(u.answers) && isPong(u.answers[i+1]) {
			i++
			want = u.answers[i]
		}
		if strings.HasPrefix(want, "close") {
			answer = answer[:min(len(answer), len(want))]
		}
		if answer != want {
			t.Fatalf("answer %d is %.60q in %d bytes, want %.60q in %d", i, answer, len(answer), want, len(want))
		}
	}
}

func isPong(answer string) bool { return strings.HasPrefix(answer, "pong ") }
