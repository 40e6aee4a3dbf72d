package terminal

import (
	"fmt"
	"strings"
)

// Language is what a person reads.
type Language int

// The languages there are.
const (
	English Language = iota
	Chinese          // simplified
)

// LanguageOf finds the language that a person asked for: by name if there is one (en or zh), else by
// the locale, of which the first variable that is set counts.
func LanguageOf(name string, getenv func(string) string) Language {
	for _, name := range []string{name, getenv("LC_ALL"), getenv("LC_MESSAGES"), getenv("LANG")} {
		if name != "" {
			if strings.HasPrefix(strings.ToLower(name), "zh") {
				return Chinese
			}
			return English
		}
	}
	return English
}

// IsUTF8 tells whether the locale can show more than ASCII.
func IsUTF8(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := strings.ToLower(getenv(name)); locale != "" {
			return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
		}
	}
	return false
}

// Say is the text of w with its verbs filled in.
func (l Language) Say(w Word, args ...any) string {
	text := texts[w].in(l)
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// text is one text in every language.
type text struct{ en, zh string }

func (t text) in(l Language) string {
	if l == Chinese {
		return t.zh
	}
	return t.en
}
