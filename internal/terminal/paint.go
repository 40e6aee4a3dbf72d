package terminal

import (
	"fmt"
	"io"

	"charm.land/lipgloss/v2"
)

const banner = `  __ _         _   _ _
 / _| |___ ___| |_| (_)_ _  ___
|  _| / -_) -_)  _| | | ' \/ -_)
|_| |_\___\___|\__|_|_|_||_\___|`

// palette colours what it is given, or leaves it as it is.
type palette struct{ on bool }

func (p palette) banner(text string) string  { return p.colour("39", text) }
func (p palette) warning(text string) string { return p.colour("214", text) }
func (p palette) quiet(text string) string   { return p.colour("245", text) }

func (p palette) state(st State, text string) string {
	switch st {
	case Connected:
		return p.colour("42", text)
	case Waiting:
		return p.colour("214", text)
	case Closed:
		return p.colour("203", text)
	}
	return p.colour("245", text)
}

// colour takes a number of the 256 colours; write brings it down to what the terminal has.
func (p palette) colour(number, text string) string {
	if !p.on {
		return text
	}
	return lipgloss.NewStyle().Foreground(lipgloss.Color(number)).Render(text)
}

func (p palette) write(w io.Writer, text string) {
	if p.on {
		_, _ = lipgloss.Fprint(w, text)
		return
	}
	_, _ = fmt.Fprint(w, text)
}
