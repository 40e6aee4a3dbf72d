package main

import (
	"context"
	"io"
	"log/slog"
	"strings"
)

// journalHandler writes for systemd's journal, which notes the time itself and takes the level from a
// number in front: so `journalctl -p warning` shows what is wrong and nothing else.
type journalHandler struct {
	levels map[slog.Level]slog.Handler // one that writes each number
}

func newJournalHandler(w io.Writer, level slog.Leveler) slog.Handler {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}}
	h := journalHandler{make(map[slog.Level]slog.Handler)}
	for level, number := range map[slog.Level]string{slog.LevelDebug: "<7>", slog.LevelInfo: "<6>", slog.LevelWarn: "<4>", slog.LevelError: "<3>"} {
		h.levels[level] = slog.NewTextHandler(prefixed{w, number}, options)
	}
	return h
}

// Enabled tells whether anybody wants to hear of the level.
func (h journalHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.of(level).Enabled(ctx, level)
}

// Handle writes one line.
func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.of(r.Level).Handle(ctx, r)
}

// WithAttrs adds fields.
func (h journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.each(func(one slog.Handler) slog.Handler { return one.WithAttrs(attrs) })
}

// WithGroup opens a group.
func (h journalHandler) WithGroup(name string) slog.Handler {
	return h.each(func(one slog.Handler) slog.Handler { return one.WithGroup(name) })
}

func (h journalHandler) each(change func(slog.Handler) slog.Handler) slog.Handler {
	changed := journalHandler{make(map[slog.Level]slog.Handler)}
	for level, one := range h.levels {
		changed.levels[level] = change(one)
	}
	return changed
}

// of is the handler of the greatest level that is not above this one.
func (h journalHandler) of(level slog.Level) slog.Handler {
	for _, l := range []slog.Level{slog.LevelError, slog.LevelWarn, slog.LevelInfo} {
		if level >= l {
			return h.levels[l]
		}
	}
	return h.levels[slog.LevelDebug]
}

// prefixed writes each line with something in front. A handler writes a line at once.
type prefixed struct {
	w      io.Writer
	prefix string
}

func (p prefixed) Write(line []byte) (int, error) {
	if _, err := p.w.Write(append([]byte(p.prefix), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// asErrors makes errors of lines of text.
func asErrors(text string) string {
	var marked strings.Builder
	for line := range strings.Lines(text) {
		marked.WriteString("<3>" + line)
	}
	return marked.String()
}
