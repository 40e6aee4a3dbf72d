package terminal

import (
	"io"
	"os"
	"slices"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
)

const banner = `   __ _         _   _ _
  / _| |___ ___| |_| (_)_ _  ___
 |  _| / -_) -_)  _| | | ' \/ -_)
 |_| |_\___\___|\__|_|_|_||_\___|`

// sign is what a line begins with.
type sign int

const (
	signOK sign = iota
	signNotice
	signFail
	signUp
	signTrying
	signDown
	signHeart
	signLeft
)

var (
	fancySigns = map[sign]string{signOK: "✓", signNotice: "!", signFail: "✗", signUp: "●", signTrying: "◌", signDown: "○", signHeart: "♥", signLeft: "○"}
	plainSigns = map[sign]string{signOK: "+", signNotice: "!", signFail: "x", signUp: "*", signTrying: ".", signDown: "o", signHeart: "~", signLeft: "o"}
	stateSigns = map[State]sign{Connecting: signTrying, Connected: signUp, Waiting: signDown, Closed: signFail}
)

// Colours of the 256 that can be read on a light ground and on a dark one.
const (
	blue   = "32"
	green  = "29"
	orange = "166"
	red    = "167"
	grey   = "244"
)

// palette colours what it is given, or leaves it as it is.
type palette struct {
	on bool
	w  io.Writer // brings colours down to what the terminal has
}

func newPalette(w io.Writer, on bool) palette {
	if on {
		// Inside tmux the profile would be asked of a program; tmux brings colours down itself.
		environ := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TMUX=") })
		w = colorprofile.NewWriter(w, environ)
	}
	return palette{on, w}
}

func (p palette) banner(text string) string   { return p.colour(blue, text) }
func (p palette) quiet(text string) string    { return p.colour(grey, text) }
func (p palette) position(text string) string { return p.colour(blue, text) }

func (p palette) alarm(text string) string {
	if !p.on {
		return text
	}
	return lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Color("231")).Background(lipgloss.Color(red)).Render(text)
}

// of colours what stands behind a sign.
func (p palette) of(s sign, text string) string {
	switch s {
	case signOK, signUp:
		return p.colour(green, text)
	case signNotice, signDown:
		return p.colour(orange, text)
	case signFail:
		return p.colour(red, text)
	}
	return p.colour(grey, text)
}

func (p palette) colour(number, text string) string {
	if !p.on {
		return text
	}
	style := lipgloss.NewStyle().Foreground(lipgloss.Color(number))
	lines := strings.Split(text, "\n") // rendered as one they would be filled up to one width
	for i := range lines {
		lines[i] = style.Render(lines[i])
	}
	return strings.Join(lines, "\n")
}

// json makes the names of JSON's fields stand back behind their values. What is too long to be read
// is left as it is.
func (p palette) json(data string) string {
	if !p.on || len(data) > longestJSON {
		return data
	}
	var b strings.Builder
	for len(data) > 0 {
		end := stringEnd(data)
		switch {
		case end > 0 && strings.HasPrefix(data[end:], ":"):
			b.WriteString(p.quiet(data[:end]))
		case end > 0:
			b.WriteString(data[:end])
		default:
			end = max(1, strings.IndexByte(data[1:], '"')+1)
			b.WriteString(data[:end])
		}
		data = data[end:]
	}
	return b.String()
}

// stringEnd is where the JSON string that data begins with ends; 0 if it begins with none.
func stringEnd(data string) int {
	if data[0] != '"' {
		return 0
	}
	for i := 1; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(data)
}
