package admin

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// readBuffer is what a stream reads ahead.
const readBuffer = 64 << 10

// lineReader reads lines of bounded length, however long the input is. A line over the bound is
// skipped without being held.
type lineReader struct {
	in   *bufio.Reader
	most int
	line int // number of the last line that was read; the first is 1
	buf  []byte
}

func newLineReader(r io.Reader, most int) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(r, readBuffer), most: most}
}

// next returns the next line that is not blank, without its end, valid until the next call. tooLong
// tells that there was a line over the bound instead. A last line without an end counts.
func (l *lineReader) next() (line []byte, tooLong bool, err error) {
	for {
		line, tooLong, err = l.read()
		l.line++
		if line = bytes.TrimSpace(line); len(line) > 0 || tooLong {
			if errors.Is(err, io.EOF) {
				err = nil // told by the next call
			}
			return line, tooLong, err
		}
		if err != nil {
			return nil, false, err
		}
	}
}

// read returns one line, from the reader's own buffer if it fits there.
func (l *lineReader) read() (line []byte, tooLong bool, err error) {
	line, err = l.in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, len(line) > l.most, err
	}
	l.buf = l.buf[:0]
	for {
		if len(l.buf)+len(line) <= l.most {
			l.buf = append(l.buf, line...)
		} else {
			tooLong = true
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			break
		}
		line, err = l.in.ReadSlice('\n')
	}
	if tooLong {
		return nil, true, err
	}
	return l.buf, false, err
}

// hasLine tells whether next returns without waiting for the input.
func (l *lineReader) hasLine() bool {
	ahead, _ := l.in.Peek(l.in.Buffered())
	return bytes.IndexByte(ahead, '\n') >= 0
}
