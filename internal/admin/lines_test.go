package admin

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestLinesAreNumberedAndLongOnesAreSkippedWithoutBeingHeld(t *testing.T) {
	const most = readBuffer * 2
	long := strings.Repeat("x", most)
	input := "one\n\n  two  \r\n" + long + "y\nfour" + long[5:] + "\n" + "last"
	want := []string{"1 one", "3 two", "4 too long", fmt.Sprintf("5 four%s", long[5:]), "6 last"}
	for name, r := range map[string]io.Reader{"whole": strings.NewReader(input), "byte by byte": iotest.OneByteReader(strings.NewReader(input))} {
		l := newLineReader(r, most)
		for _, w := range want {
			line, tooLong, err := l.next()
			got := fmt.Sprintf("%d %s", l.line, line)
			if tooLong {
				got = fmt.Sprintf("%d too long", l.line)
			}
			if err != nil || got != w {
				t.Fatalf("%s: got %.40q and %v, want %.40q", name, got, err, w)
			}
		}
		if _, _, err := l.next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: the end is %v, want io.EOF", name, err)
		}
		if cap(l.buf) > 2*most {
			t.Errorf("%s: %d bytes are held for lines of at most %d", name, cap(l.buf), most)
		}
	}
}

func TestAnInputThatBreaksOffIsNotTakenForItsEnd(t *testing.T) {
	l := newLineReader(io.MultiReader(strings.NewReader("one\ntw"), iotest.ErrReader(io.ErrUnexpectedEOF)), 100)
	if line, _, err := l.next(); string(line) != "one" || err != nil {
		t.Fatalf("got %q and %v, want the first line", line, err)
	}
	if _, _, err := l.next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want that the input broke off", err)
	}
}
