package bench

import (
	"bytes"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/socket/frame"
)

// stage is how far a machine has come.
type stage uint8

const (
	away stage = iota
	dialing
	upgrading
	authenticating
	live
)

// machine is one simulated machine. It belongs to its worker's loop.
type machine struct {
	number int
	key    api.Key
	// What the server gave it.
	id    string
	token api.Key

	stage   stage
	stalled bool // does not read
	fd      int
	part    []byte // of a frame that is not whole yet
	hello   []byte // the auth frame of the attempt
	began   int64  // when the attempt did
	due     int64  // not before this may it come back
	why     string // what the server said before it closed
}

// open begins to connect. The answer comes as an event.
func (w *worker) open(m *machine) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	m.fd, m.began, m.why, m.part = fd, now(), "", nil
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	// Ports are chosen with the destination in view, or one address would carry 28,000 in all.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	if w.attempt.how.Small {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: w.server.source(m.number)}); err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("bind: %w", err)
	}
	err = unix.Connect(fd, &w.server.addr)
	if err == nil || err == unix.EINPROGRESS {
		err = w.loop.add(fd, m.number/w.server.workers)
	}
	if err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("connect: %w", err)
	}
	m.stage = dialing
	return nil
}

// happened takes an event of the machine's socket. Events come once for each change, so everything
// there is must be read now.
func (w *worker) happened(m *machine, events uint32) {
	if m.stage == away {
		return // closed by what happened before it
	}
	if m.stage == dialing && events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		if n, err := unix.GetsockoptInt(m.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || n != 0 {
			w.over(m, "dial: "+unix.Errno(n).Error())
			return
		}
		m.stage = upgrading
		w.send(m, w.server.request)
	}
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLERR|unix.EPOLLHUP) == 0 {
		return
	}
	if m.stalled {
		if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			w.over(m, "broken off")
		}
		return
	}
	w.read(m)
}

func (w *worker) read(m *machine) {
	for m.stage != away {
		had := copy(w.buf, m.part)
		n, err := unix.Read(m.fd, w.buf[had:])
		switch {
		case err == unix.EAGAIN:
			return
		case err == unix.EINTR:
			continue
		case err != nil:
			w.over(m, "broken off")
			return
		case n == 0:
			w.over(m, "closed")
			return
		}
		whole := had+n == len(w.buf)
		w.feed(m, w.buf[:had+n])
		if !whole {
			return
		}
	}
}

// feed takes what has come since the last whole frame and keeps what is not whole.
func (w *worker) feed(m *machine, data []byte) {
	used := 0
	if m.stage == upgrading {
		if used = w.upgraded(m, data); used == 0 && m.stage == away {
			return
		}
	}
	if m.stage > upgrading {
		used += w.walk(m, data[used:])
	}
	if m.stage == away {
		return
	}
	if used == 0 && len(data) == len(w.buf) {
		w.over(m, "a frame is too long")
		return
	}
	if used == len(data) {
		m.part = nil
		return
	}
	m.part = append(m.part[:0], data[used:]...)
}

// upgraded reads the answer to the handshake and says who the machine is.
func (w *worker) upgraded(m *machine, data []byte) (used int) {
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		return 0
	}
	if !bytes.HasPrefix(data, []byte("HTTP/1.1 101 ")) {
		status, _, _ := bytes.Cut(data[min(len(data), len("HTTP/1.1 ")):], []byte(" "))
		w.over(m, fmt.Sprintf("http %s", status))
		return 0
	}
	m.stage = authenticating
	w.send(m, m.hello)
	return end + len("\r\n\r\n")
}

// walk takes the whole frames that data begins with and returns how many bytes they are.
func (w *worker) walk(m *machine, data []byte) (used int) {
	for m.stage != away {
		f := data[used:]
		head, size := lengthOf(f)
		if head == 0 || len(f) < head+size {
			return used
		}
		w.take(m, frame.Opcode(f[0]&0x0f), f[head:head+size])
		used += head + size
	}
	return used
}

// lengthOf reads the header of a server's frame; head is 0 while it is not whole.
func lengthOf(f []byte) (head, size int) {
	if len(f) < 2 {
		return 0, 0
	}
	head = frame.HeaderLen(f)
	if len(f) < head {
		return 0, 0
	}
	if head == 2 {
		return 2, int(f[1])
	}
	for _, b := range f[2:head] {
		size = size<<8 | int(b)
	}
	return head, size
}

func (w *worker) take(m *machine, op frame.Opcode, text []byte) {
	switch op {
	case frame.OpText:
		w.takeText(m, text)
	case frame.OpClose:
		code, reason, _ := frame.ParseClose(text)
		m.why = fmt.Sprintf("close %d", code)
		if wait := numberOf([]byte(reason), "retryAfterMs="); wait > 0 {
			m.due = now() + wait*int64(time.Millisecond)
			w.longestWait = max(w.longestWait, wait)
		}
		w.send(m, masked(frame.OpClose, text))
	case frame.OpPing:
		w.send(m, masked(frame.OpPong, text))
	}
}

func (w *worker) takeText(m *machine, text []byte) {
	switch w.server.dialect.kindOf(text) {
	case kindData:
		w.data(text)
	case kindPing:
		w.send(m, w.server.dialect.pong)
		w.pongs++
	case kindWelcome:
		if id := fieldOf(text, "machineId"); id != "" {
			m.id = id
		}
		m.token = api.Key(fieldOf(text, "sessionToken"))
		w.welcome(m)
	case kindToken:
		m.token = api.Key(fieldOf(text, "sessionToken"))
	case kindRefused:
		if m.stage != live {
			m.why = "refused: " + fieldOf(text, "code")
		}
	case kindDeleted:
		w.tell(answer{Event: eventDeleted, Machine: m.number, At: now()})
	}
}

// send writes a small frame. A socket that does not take it belongs to a server that does not read.
func (w *worker) send(m *machine, f []byte) {
	if n, err := unix.SendmsgN(m.fd, f, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT); err != nil || n < len(f) {
		w.unsent++
	}
}

// over ends what the machine had.
func (w *worker) over(m *machine, why string) {
	if m.why != "" {
		why = m.why
	}
	_ = unix.Close(m.fd)
	was := m.stage
	m.stage, m.stalled, m.part = away, false, nil
	switch was {
	case live:
		w.live--
		w.ended[why]++
	case dialing, upgrading, authenticating:
		w.attempt.failed(m, why)
	}
}

// drop breaks the connection off at once: no port is left waiting.
func (w *worker) drop(m *machine) {
	if m.stage == away {
		return
	}
	_ = unix.SetsockoptLinger(m.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	if m.stage == live {
		w.live--
		m.stage = away // nobody's fault, so it is not counted as an end
	}
	w.over(m, "dropped")
}
