package embedded

import "strings"

// words are texts that many machines share, and the number of each. Those that come when there is no
// more room are written out where they are used.
type words struct {
	texts   []string
	numbers map[string]byte
}

const (
	maxWords = 255
	// maxWord is how long a word may be: nobody fills the book with texts that nobody shares.
	maxWord = 64
)

func newWords() *words { return &words{numbers: make(map[string]byte)} }

// number is not zero if text is a word, or becomes one.
func (w *words) number(text string) byte {
	n := w.numbers[text]
	if n == 0 && text != "" && len(text) <= maxWord && len(w.texts) < maxWords {
		text = strings.Clone(text)
		w.texts = append(w.texts, text)
		n = byte(len(w.texts))
		w.numbers[text] = n
	}
	return n
}

// text is the word of that number.
func (w *words) text(number byte) string { return w.texts[number-1] }
