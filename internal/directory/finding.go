package directory

// Level is how bad a Finding is.
type Level uint8

const (
	// OK: it is as it should be.
	OK Level = iota
	// Warn: it works, and could be better.
	Warn
	// Fail: it does not work.
	Fail
)

// String names the level.
func (l Level) String() string { return [...]string{"ok", "warn", "fail"}[l] }

// Finding is one thing that a driver's Diagnose has looked at.
type Finding struct {
	Topic string
	Level Level
	// Text says in one sentence how it is.
	Text string
	// Hint says what to do about it, and SQL is what to paste; either may be empty.
	Hint string
	SQL  string
}
