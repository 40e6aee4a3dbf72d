package embedded

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

// packed is a slotRecord in as few bytes as it takes: there are as many as machines, and most of them
// are hardly ever looked at. What many of them share, it names by number: the account and the keys of
// its house, and the words of its book.
type packed string

// packer writes a packed.
type packer struct {
	words *words
	house *house
	b     []byte
}

func (w *words) pack(h *house, r slotRecord) packed {
	p := packer{words: w, house: h, b: make([]byte, 0, 512)}
	p.hwid(r.HWID)
	p.number(uint64(len(r.Lives)))
	for _, l := range r.Lives {
		p.life(r.HWID, l)
	}
	return packed(p.b)
}

func (p *packer) life(hwid string, l lifeRecord) {
	p.id(l.ID)
	p.digest(l.Key)
	p.text(l.Info.Hostname)
	p.word(l.Info.OS)
	p.word(l.Info.Arch)
	p.word(l.Info.Version)
	if l.Info.HWID == hwid {
		p.b = append(p.b, sameID)
	} else {
		p.hwid(l.Info.HWID)
	}
	p.number(l.Info.CPUCores)
	p.number(l.Info.RAMBytes)
	p.time(l.EnrolledAt)
	p.time(l.SeenAt)
	p.time(l.DeletedAt)
	p.number(uint64(len(l.Under)))
	for _, d := range l.Under {
		p.digest(d)
	}
}

func (p *packer) number(n uint64) { p.b = binary.AppendUvarint(p.b, n) }

func (p *packer) text(text string) {
	p.number(uint64(len(text)))
	p.b = append(p.b, text...)
}

func (p *packer) digest(d digest) { p.number(uint64(p.house.number(d))) }

func (p *packer) word(text string) {
	n := p.words.number(text)
	p.b = append(p.b, n)
	if n == 0 {
		p.text(text)
	}
}

// How an id is written: in fewer bytes than it has characters, if it is one that programs make.
const (
	plainID   = iota
	sameID    // as another, which came before
	hexID     // lower-case hexadecimal digits
	uuidID    // the same, 32 of them, with hyphens
	machineID // a word, and what directory.RandomID makes
)

const (
	uuidLength   = 36
	randomLength = 16
	randomBytes  = randomLength * 5 / 8
)

func (p *packer) hwid(text string) {
	if !p.hexID(text) && !p.uuidID(text) {
		p.b = append(p.b, plainID)
		p.text(text)
	}
}

func (p *packer) id(text string) {
	if !p.machineID(text) {
		p.b = append(p.b, plainID)
		p.text(text)
	}
}

func (p *packer) hexID(text string) bool {
	if len(text)%2 != 0 || len(text) == 0 || !isLowerHex(text) {
		return false
	}
	p.b = append(p.b, hexID)
	p.number(uint64(len(text) / 2))
	p.b, _ = hex.AppendDecode(p.b, []byte(text))
	return true
}

func (p *packer) uuidID(text string) bool {
	if len(text) != uuidLength {
		return false
	}
	digits := strings.ReplaceAll(text, "-", "")
	if len(digits) != 32 || !isLowerHex(digits) || uuid(digits) != text {
		return false
	}
	p.b = append(p.b, uuidID)
	p.b, _ = hex.AppendDecode(p.b, []byte(digits))
	return true
}

// uuid puts hyphens between 32 digits.
func uuid(d string) string {
	return d[:8] + "-" + d[8:12] + "-" + d[12:16] + "-" + d[16:20] + "-" + d[20:]
}

func (p *packer) machineID(text string) bool {
	if len(text) <= randomLength {
		return false
	}
	random, err := lowerBase32.DecodeString(text[len(text)-randomLength:])
	if err != nil || len(random) != randomBytes {
		return false // the decoder skips line breaks
	}
	n := p.words.number(text[:len(text)-randomLength])
	if n == 0 {
		return false
	}
	p.b = append(append(p.b, machineID, n), random...)
	return true
}

func isLowerHex(text string) bool {
	return strings.Trim(text, "0123456789abcdef") == ""
}

// How a time is written.
const (
	noTime = iota
	millisecondTime
	nanosecondTime
)

func (p *packer) time(t time.Time) {
	switch {
	case t.IsZero():
		p.b = append(p.b, noTime)
	case t.Nanosecond()%int(time.Millisecond) == 0:
		p.b = binary.AppendVarint(append(p.b, millisecondTime), t.UnixMilli())
	default:
		p.b = binary.AppendVarint(append(p.b, nanosecondTime), t.Unix())
		p.number(uint64(t.Nanosecond()))
	}
}

// unpacker reads a packed.
type unpacker struct {
	words *words
	house *house
	rest  packed
}

// unpack is the record that was packed, of its own memory: a text that is kept must not keep all that
// lies beside it. An empty one has no lives.
func (w *words) unpack(h *house, lives packed) slotRecord {
	r := slotRecord{Account: h.account}
	if lives == "" {
		return r
	}
	p := unpacker{words: w, house: h, rest: lives}
	r.HWID = p.id("")
	r.Lives = make([]lifeRecord, p.number())
	for i := range r.Lives {
		p.life(r.HWID, &r.Lives[i])
	}
	return r
}

func (p *unpacker) life(hwid string, l *lifeRecord) {
	l.ID, l.Key = p.id(""), p.digest()
	l.Info = directory.MachineInfo{
		Hostname: p.text(), OS: p.word(), Arch: p.word(), Version: p.word(), HWID: p.id(hwid),
		CPUCores: p.number(), RAMBytes: p.number(),
	}
	l.EnrolledAt, l.SeenAt, l.DeletedAt = p.time(), p.time(), p.time()
	if n := p.number(); n > 0 {
		l.Under = make([]digest, n)
	}
	for i := range l.Under {
		l.Under[i] = p.digest()
	}
}

func (p *unpacker) cut(n int) packed {
	head := p.rest[:n]
	p.rest = p.rest[n:]
	return head
}

func (p *unpacker) byte() byte { return p.cut(1)[0] }

func (p *unpacker) text() string { return strings.Clone(string(p.cut(int(p.number())))) }

func (p *unpacker) digest() digest { return p.house.keys[p.number()] }

func (p *unpacker) word() string {
	if n := p.byte(); n != 0 {
		return p.words.text(n)
	}
	return p.text()
}

// id reads any id; same is the one it may be the same as.
func (p *unpacker) id(same string) string {
	var room [64]byte
	switch p.byte() {
	case sameID:
		return same
	case hexID:
		return string(hex.AppendEncode(room[:0], []byte(p.cut(int(p.number())))))
	case uuidID:
		return uuid(string(hex.AppendEncode(room[:0], []byte(p.cut(16)))))
	case machineID:
		id := append(room[:0], p.words.text(p.byte())...)
		return string(lowerBase32.AppendEncode(id, []byte(p.cut(randomBytes))))
	}
	return p.text()
}

func (p *unpacker) time() time.Time {
	switch p.byte() {
	case noTime:
		return time.Time{}
	case millisecondTime:
		return time.UnixMilli(p.signed()).UTC()
	}
	return time.Unix(p.signed(), int64(p.number())).UTC()
}

func (p *unpacker) number() uint64 {
	n, size := binary.Uvarint([]byte(p.rest[:min(len(p.rest), binary.MaxVarintLen64)]))
	p.rest = p.rest[size:]
	return n
}

func (p *unpacker) signed() int64 {
	n := p.number()
	return int64(n>>1) ^ -int64(n&1)
}
