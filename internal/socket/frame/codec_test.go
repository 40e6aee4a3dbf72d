package frame_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/fleetline/fleetline/internal/socket/frame"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestATextFrameIsItsHeaderAndItsPayload(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 127, 65535, 65536, 1 << 20} {
		payload := bytes.Repeat([]byte("a"), size)
		f := frame.AppendText(nil, payload)
		if cap(f) != len(f) {
			t.Errorf("frame of %d bytes: capacity %d, want %d", size, cap(f), len(f))
		}
		if !bytes.Equal(f[frame.HeaderLen(f):], payload) {
			t.Errorf("frame of %d bytes: payload does not begin at %d", size, frame.HeaderLen(f))
		}
		masked := frame.AppendMasked(nil, frame.OpText, [4]byte{1, 2, 3, 4}, payload)
		if got, want := frame.HeaderLen(masked), frame.HeaderLen(f)+4; got != want {
			t.Errorf("masked frame of %d bytes: header is %d bytes, want %d", size, got, want)
		}
	}
}

func TestTheExamplesOfTheRFC(t *testing.T) {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	for name, c := range map[string]struct{ got, want []byte }{
		"text":        {frame.AppendText(nil, []byte("Hello")), []byte("\x81\x05Hello")},
		"masked text": {frame.AppendMasked(nil, frame.OpText, key, []byte("Hello")), []byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")},
		"ping":        {frame.AppendPing(nil, []byte("Hello")), []byte("\x89\x05Hello")},
		"masked pong": {frame.AppendMasked(nil, frame.OpPong, key, []byte("Hello")), []byte("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")},
		"256 bytes":   {frame.AppendHeader(nil, frame.Header{Final: true, Op: frame.OpBinary, Length: 256}), []byte("\x82\x7e\x01\x00")},
		"64 KiB":      {frame.AppendHeader(nil, frame.Header{Final: true, Op: frame.OpBinary, Length: 65536}), []byte("\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00")},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s: got % x, want % x", name, c.got, c.want)
		}
	}
}

func TestMaskingInPartsIsMaskingWhole(t *testing.T) {
	key := [4]byte{0xA1, 0xB2, 0xC3, 0xD4}
	for size := range 300 {
		plain := make([]byte, size)
		for i := range plain {
			plain[i] = byte(i * 7)
		}
		want := make([]byte, size)
		for i := range plain {
			want[i] = plain[i] ^ key[i%4]
		}
		for _, at := range []int{0, 1, 2, 3, size / 2, size} {
			at = min(at, size)
			got := bytes.Clone(plain)
			pos := frame.Mask(got[:at], key, 0)
			frame.Mask(got[at:], key, pos)
			if !bytes.Equal(got, want) {
				t.Fatalf("masking %d bytes, parted at %d: got % x, want % x", size, at, got, want)
			}
		}
	}
}

func TestAReasonThatIsTooLongIsCutBetweenCharacters(t *testing.T) {
	for _, reason := range []string{
		"", "bye", strings.Repeat("x", 123), strings.Repeat("x", 200), strings.Repeat("ü", 100), strings.Repeat("日", 50),
	} {
		f := frame.AppendClose(nil, 4500, reason)
		code, got, err := frame.ParseClose(f[frame.HeaderLen(f):])
		if err != nil || code != 4500 {
			t.Fatalf("close with reason %q: code %d, error %v", reason, code, err)
		}
		if len(f) > frame.MaxControl+2 || !utf8.ValidString(got) || !strings.HasPrefix(reason, got) {
			t.Errorf("close with reason %q: got %q in %d bytes", reason, got, len(f))
		}
	}
}

func TestACloseWithoutACodeIsEmpty(t *testing.T) {
	for _, code := range []uint16{frame.CodeNoStatus, frame.CodeAbnormal} {
		if got := frame.AppendClose(nil, code, "why"); !bytes.Equal(got, []byte{0x88, 0}) {
			t.Errorf("close with %d: got % x, want an empty close", code, got)
		}
	}
}

func TestCloseCodesThatMayBeSent(t *testing.T) {
	want := func(code int) bool {
		switch code {
		case 1004, 1005, 1006:
			return false
		}
		return code >= 1000 && code <= 1014 || code >= 3000 && code <= 4999
	}
	for code := range 1 << 16 {
		if got := frame.IsSendable(uint16(code)); got != want(code) {
			t.Errorf("close code %d: sendable %v, want %v", code, got, want(code))
		}
	}
}
