package frame

import "unicode/utf8"

// Rules are what a Parser holds its peer to. They are the same for many connections and not kept by
// the parser.
type Rules struct {
	Role Role
	// MaxMessage bounds the payload of a message, whole or in fragments, in bytes.
	MaxMessage int
	// SkipBinary drops the payload of binary messages as it comes: their events carry none.
	SkipBinary bool
}

// Event is one whole message (OpText, OpBinary) or control frame. With Op zero there is none yet.
type Event struct {
	Op Opcode
	// Payload may lie in the bytes the parser was fed, and is valid as long as they are.
	Payload []byte
}

// Parser turns bytes into events. The zero value is ready; one that IsIdle may be thrown away and
// replaced by a zero value. After a close frame it takes no notice of what follows (RFC 6455 5.5.1),
// after an error it repeats the error.
type Parser struct {
	over error // what ended the parsing; errClosed after a close frame

	head    [maxHeader]byte
	headLen uint8 // bytes of an unfinished header

	// The frame whose payload is being read, while inFrame.
	inFrame bool
	masked  bool
	final   bool
	op      Opcode
	key     [4]byte
	keyPos  uint8
	remain  int // bytes of payload still to come

	control []byte // what has come of an unfinished control frame

	// The message being read, while message is not zero.
	message Opcode
	size    int    // announced by the headers so far
	kept    []byte // what has come of it
	checked int    // bytes of kept that are whole UTF-8 characters
}

// IsIdle tells that p holds no part of a frame or message.
func (p *Parser) IsIdle() bool {
	return p.over == nil && p.headLen == 0 && !p.inFrame && p.message == 0
}

// Next reads data up to the end of the first event and returns the event and what follows it. The
// event's Op is zero if all of data was read without completing one. Masked payload is unmasked in
// place. The error is a *Violation.
func (p *Parser) Next(r *Rules, data []byte) (Event, []byte, error) {
	for {
		if p.over != nil {
			return Event{}, nil, p.verdict()
		}
		if !p.inFrame {
			rest, err := p.readHead(r, data)
			if err != nil {
				return Event{}, nil, p.fail(err)
			}
			if !p.inFrame {
				return Event{}, nil, nil
			}
			data = rest
		}
		ev, rest, err := p.readPayload(r, data)
		if err != nil {
			return Event{}, nil, p.fail(err)
		}
		if ev.Op != 0 || len(rest) == 0 {
			return ev, rest, nil
		}
		data = rest
	}
}

type closed struct{}

func (closed) Error() string { return "close frame received" }

func (p *Parser) verdict() error {
	if p.over == (closed{}) {
		return nil
	}
	return p.over
}

// fail lets go of everything but the error.
func (p *Parser) fail(err error) error {
	*p = Parser{over: err}
	return err
}

func (p *Parser) readHead(r *Rules, data []byte) (rest []byte, err error) {
	head, had := data, int(p.headLen)
	if had > 0 {
		head = append(p.head[:had], data[:min(len(data), maxHeader-had)]...)
	}
	h, size, err := readHeader(head, r.Role)
	if err != nil {
		return nil, err
	}
	if size == 0 {
		p.headLen = uint8(copy(p.head[:], head))
		return nil, nil
	}
	if err := p.begin(r, h); err != nil {
		return nil, err
	}
	p.headLen = 0
	return data[size-had:], nil
}

// begin takes the frame of a whole header, if the rules allow it, before any of its payload.
func (p *Parser) begin(r *Rules, h Header) error {
	if !h.Op.isControl() {
		if err := p.beginData(r, h); err != nil {
			return err
		}
	}
	p.inFrame, p.final, p.op = true, h.Final, h.Op
	p.masked, p.key, p.keyPos = h.Masked, h.Key, 0
	p.remain = int(h.Length)
	return nil
}

func (p *Parser) beginData(r *Rules, h Header) error {
	switch {
	case h.Op == OpContinuation && p.message == 0:
		return breach("continuation of no message")
	case h.Op != OpContinuation && p.message != 0:
		return breach("new message inside a fragmented one")
	case h.Length > uint64(r.MaxMessage-p.size):
		return &Violation{CodeTooBig, "message too big"}
	}
	if h.Op != OpContinuation {
		p.message = h.Op
	}
	p.size += int(h.Length)
	return nil
}

func (p *Parser) readPayload(r *Rules, data []byte) (Event, []byte, error) {
	n := min(p.remain, len(data))
	chunk, rest := data[:n:n], data[n:]
	if p.masked {
		p.keyPos = uint8(Mask(chunk, p.key, int(p.keyPos)))
	}
	p.remain -= n
	p.inFrame = p.remain > 0
	if p.op.isControl() {
		ev, err := p.takeControl(chunk)
		return ev, rest, err
	}
	ev, err := p.takeData(r, chunk)
	return ev, rest, err
}

func (p *Parser) takeControl(chunk []byte) (Event, error) {
	if p.inFrame || p.control != nil {
		p.control = append(p.control, chunk...)
		chunk = p.control
	}
	if p.inFrame {
		return Event{}, nil
	}
	p.control = nil
	if p.op == OpClose {
		if _, _, err := ParseClose(chunk); err != nil {
			return Event{}, err
		}
		*p = Parser{over: closed{}}
		return Event{OpClose, chunk}, nil
	}
	return Event{p.op, chunk}, nil
}

func (p *Parser) takeData(r *Rules, chunk []byte) (Event, error) {
	done := p.final && !p.inFrame
	switch {
	case p.message == OpBinary && r.SkipBinary:
		chunk = nil
	case done && len(p.kept) == 0:
		if p.message == OpText && !utf8.Valid(chunk) {
			return Event{}, notUTF8()
		}
	default:
		p.kept = append(p.kept, chunk...)
		if p.message == OpText && !p.checkText(done) {
			return Event{}, notUTF8()
		}
		chunk = p.kept
	}
	if !done {
		return Event{}, nil
	}
	ev := Event{p.message, chunk}
	p.message, p.size, p.kept, p.checked = 0, 0, nil, 0
	return ev, nil
}

func notUTF8() *Violation { return &Violation{CodeNotUTF8, "text is not UTF-8"} }

// checkText looks at what is new in kept. Until the message is done its last character may be
// unfinished, but never wrong.
func (p *Parser) checkText(done bool) bool {
	fresh := p.kept[p.checked:]
	if done {
		return utf8.Valid(fresh)
	}
	whole := len(fresh)
	for back := 1; back <= min(utf8.UTFMax-1, len(fresh)); back++ {
		if tail := fresh[len(fresh)-back:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				whole -= back
			}
			break
		}
	}
	p.checked += whole
	return utf8.Valid(fresh[:whole])
}
