package embedded

import (
	"encoding/binary"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
)

// packed is a slotRecord but for its account, in one piece of memory: there are as many as machines,
// and most of them are hardly ever looked at. What is unpacked shares the names with it.
type packed string

// pack writes the hwid and then each life, every text and list behind its length.
func pack(r slotRecord) packed {
	b := appendText(make([]byte, 0, 512), r.HWID)
	b = binary.AppendUvarint(b, uint64(len(r.Lives)))
	for _, l := range r.Lives {
		b = appendText(b, l.ID)
		b = append(b, l.Key[:]...)
		for _, text := range []string{l.Info.Hostname, l.Info.OS, l.Info.Arch, l.Info.HWID, l.Info.Version} {
			b = appendText(b, text)
		}
		b = binary.AppendUvarint(b, l.Info.CPUCores)
		b = binary.AppendUvarint(b, l.Info.RAMBytes)
		b = appendTime(b, l.EnrolledAt)
		b = appendTime(b, l.DeletedAt)
		b = binary.AppendUvarint(b, uint64(len(l.Under)))
		for _, d := range l.Under {
			b = append(b, d[:]...)
		}
	}
	return packed(b)
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// appendTime writes the zero time as it is, too.
func appendTime(b []byte, t time.Time) []byte {
	return binary.AppendUvarint(binary.AppendVarint(b, t.Unix()), uint64(t.Nanosecond()))
}

// unpack is the record that was packed. An empty one has no lives.
func (p packed) unpack(account string) slotRecord {
	r := slotRecord{Account: account}
	if p == "" {
		return r
	}
	r.HWID = p.text()
	r.Lives = make([]lifeRecord, p.number())
	for i := range r.Lives {
		p.life(&r.Lives[i])
	}
	return r
}

func (p *packed) life(l *lifeRecord) {
	l.ID, l.Key = p.text(), p.digest()
	l.Info = directory.MachineInfo{
		Hostname: p.text(), OS: p.text(), Arch: p.text(), HWID: p.text(), Version: p.text(),
		CPUCores: p.number(), RAMBytes: p.number(),
	}
	l.EnrolledAt, l.DeletedAt = p.time(), p.time()
	if n := p.number(); n > 0 {
		l.Under = make([]digest, n)
	}
	for i := range l.Under {
		l.Under[i] = p.digest()
	}
}

func (p *packed) cut(n int) string {
	head := string((*p)[:n])
	*p = (*p)[n:]
	return head
}

func (p *packed) text() string { return p.cut(int(p.number())) }

func (p *packed) digest() digest { return digest([]byte(p.cut(len(digest{})))) }

func (p *packed) time() time.Time {
	second := p.number()
	return time.Unix(int64(second>>1)^-int64(second&1), int64(p.number())).UTC()
}

func (p *packed) number() uint64 {
	n, size := binary.Uvarint([]byte((*p)[:min(len(*p), binary.MaxVarintLen64)]))
	*p = (*p)[size:]
	return n
}
