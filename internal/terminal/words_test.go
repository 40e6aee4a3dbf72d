package terminal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"charm.land/lipgloss/v2"
)

var verb = regexp.MustCompile(`%[a-z]`)

// checkText holds a text to being there in both languages, with the same verbs in the same order.
func checkText(t *testing.T, name string, s text) {
	t.Helper()
	if s.en == "" || s.zh == "" {
		t.Errorf("%s: %q, %q: one language is missing", name, s.en, s.zh)
	}
	if !slices.Equal(verb.FindAllString(s.en, -1), verb.FindAllString(s.zh, -1)) {
		t.Errorf("%s: the verbs of %q and %q are not the same", name, s.en, s.zh)
	}
	if name != "WordTLS" && !strings.ContainsFunc(s.zh, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
		t.Errorf("%s: %q is not Chinese", name, s.zh)
	}
	if strings.ContainsFunc(s.en, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
		t.Errorf("%s: %q is not English", name, s.en)
	}
}

func TestEveryTextIsThereInBothLanguages(t *testing.T) {
	for i, name := range constants(t, "words.go", "Word") {
		checkText(t, name, texts[i])
	}
	for i, name := range constants(t, "faults.go", "Fault") {
		f := faultTexts[i]
		checkText(t, name, f.what)
		if f.todo != (text{}) {
			checkText(t, name+", advice", f.todo)
		}
	}
}

// constants are the names of a file's constants with a prefix, in order.
func constants(t *testing.T, file, prefix string) (names []string) {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		if d, ok := n.(*ast.GenDecl); ok && d.Tok == token.CONST {
			for _, s := range d.Specs {
				if name := s.(*ast.ValueSpec).Names[0].Name; strings.HasPrefix(name, prefix) {
					names = append(names, name)
				}
			}
		}
		return true
	})
	if len(names) < 20 {
		t.Fatalf("%s has the constants %v", file, names)
	}
	return names
}

func TestTheLocaleChoosesTheLanguage(t *testing.T) {
	for _, c := range []struct {
		flag, all, messages, lang string
		want                      Language
	}{
		{want: English},
		{lang: "zh_CN.UTF-8", want: Chinese},
		{lang: "en_GB.UTF-8", want: English},
		{messages: "zh_CN", lang: "en_GB.UTF-8", want: Chinese},
		{all: "C", messages: "zh_CN", lang: "zh_CN", want: English},
		{flag: "en", all: "zh_CN.UTF-8", want: English},
		{flag: "zh", want: Chinese},
	} {
		env := map[string]string{"LC_ALL": c.all, "LC_MESSAGES": c.messages, "LANG": c.lang}
		if got := LanguageOf(c.flag, func(name string) string { return env[name] }); got != c.want {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}

func TestParagraphsFitTheirColumns(t *testing.T) {
	for _, words := range append(slices.Clone(texts[:]), faultTexts[FaultNoName].todo, faultTexts[FaultUntrusted].todo) {
		for _, paragraph := range []string{words.en, words.zh} {
			for _, columns := range []int{20, 41, 78} {
				lines := wrap(paragraph, columns)
				for i, line := range lines {
					if width := lipgloss.Width(line); width > columns && strings.Contains(line, " ") && width > columns+2 {
						t.Errorf("%d columns for %q, want %d at most", width, line, columns)
					}
					if first := []rune(line); i > 0 && strings.ContainsRune("，。；：、？！）", first[0]) {
						t.Errorf("a line begins with punctuation: %q", lines)
					}
				}
				joined := strings.Join(lines, " ")
				if squeeze(joined) != squeeze(paragraph) {
					t.Errorf("wrapped, %q became %q", paragraph, joined)
				}
			}
		}
	}
}

func squeeze(s string) string { return strings.ReplaceAll(s, " ", "") }

func TestDataIsBrokenBetweenItsFieldsAndStaysTheSame(t *testing.T) {
	data := `{"load1":0.25,"text":"a, \"b\", c","你好":"机器，机器","n":[1,2,3]}`
	got := breakJSON(data, 30, "\n")
	if strings.ReplaceAll(got, "\n", "") != data {
		t.Errorf("%s became %s", data, got)
	}
	if want := 4; strings.Count(got, "\n") < 2 || strings.Count(got, "\n") > want {
		t.Errorf("broken as %s", got)
	}
	for line := range strings.Lines(got) {
		if width := lipgloss.Width(strings.TrimSuffix(line, "\n")); width > 30 {
			t.Errorf("%d columns: %s", width, line)
		}
	}
	if long := `"` + strings.Repeat("x,", 4000) + `"`; breakJSON(long, 30, "\n") != long {
		t.Error("what nobody reads is laid out")
	}
}

func FuzzBreakJSON(f *testing.F) {
	f.Add(`{"a":"\\\",","b":1}`, 9)
	f.Fuzz(func(t *testing.T, data string, columns int) {
		if got := breakJSON(data, columns, "\x00"); strings.ReplaceAll(got, "\x00", "") != strings.ReplaceAll(data, "\x00", "") {
			t.Errorf("%q became %q", data, got)
		}
	})
}
