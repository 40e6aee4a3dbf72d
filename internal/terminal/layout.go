package terminal

import (
	"os"
	"strings"
	"unicode"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"
)

// widest is how far a paragraph goes on a terminal that is wider.
const widest = 100

// pad fills text up to so many columns.
func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-lipgloss.Width(text)))
}

// wrapped breaks text into lines that the terminal can hold, each indented.
func (s *Screen) wrapped(text string, indent int) string {
	margin := strings.Repeat(" ", indent)
	return margin + strings.Join(wrap(text, max(20, min(s.width(), widest)-indent-1)), "\n"+margin)
}

func (s *Screen) width() int {
	if s.c.Width > 0 {
		return s.c.Width
	}
	if f, ok := s.aside.w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

// wrap breaks text into lines of so many columns, between words and between Chinese characters. A
// word that is longer than a line, such as a path, stays whole: the terminal breaks it, and a person
// can copy it.
func wrap(text string, columns int) []string {
	var lines []string
	line, used := "", 0
	for _, p := range pieces(text) {
		gap, width := "", lipgloss.Width(p.text)
		if p.spaced && line != "" {
			gap = " "
		}
		if line != "" && used+len(gap)+width > columns {
			lines, line, used, gap = append(lines, line), "", 0, ""
		}
		line, used = line+gap+p.text, used+len(gap)+width
	}
	return append(lines, line)
}

// piece is what must stay on one line.
type piece struct {
	text   string
	spaced bool // a space stands before it
}

// pieces takes text apart. Chinese characters are pieces by themselves; punctuation stays at the one
// it belongs to.
func pieces(text string) (all []piece) {
	next := piece{}
	flush := func(spaced bool) {
		if next.text != "" {
			all = append(all, next)
			next = piece{}
		}
		next.spaced = next.spaced || spaced
	}
	var last rune
	for _, r := range text {
		switch {
		case r == ' ':
			flush(true)
		case isWide(r) && !closes(r) && !opens(last), isWide(last) && !isWide(r) && !opens(last) && !closes(r):
			flush(false)
			next.text += string(r)
		default:
			next.text += string(r)
		}
		last = r
	}
	flush(false)
	return all
}

func isWide(r rune) bool {
	return unicode.Is(unicode.Han, r) || strings.ContainsRune("，。；：、？！（）“”《》", r)
}

func opens(r rune) bool  { return strings.ContainsRune("（“《(", r) && r != 0 }
func closes(r rune) bool { return strings.ContainsRune("，。；：、？！）”》,.;:?!)", r) }

// longestJSON is what is laid out and coloured; what is longer nobody reads.
const longestJSON = 4096

// breakJSON breaks data between its fields where a line of so many columns is full. It stays the
// same JSON, so it can be copied.
func breakJSON(data string, columns int, newline string) string {
	if len(data) > longestJSON || lipgloss.Width(data) <= columns {
		return data
	}
	var b strings.Builder
	used, inString := 0, false
	for from, i := 0, 0; i < len(data); i++ {
		switch {
		case inString && data[i] == '\\':
			i++
		case data[i] == '"':
			inString = !inString
		}
		if i < len(data)-1 && (inString || data[i] != ',') {
			continue
		}
		field := data[from:min(i+1, len(data))]
		width := lipgloss.Width(field)
		if used > 0 && used+width > columns {
			b.WriteString(newline)
			used = 0
		}
		b.WriteString(field)
		used, from = used+width, i+1
	}
	return b.String()
}
