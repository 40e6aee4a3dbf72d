package rows

import (
	"log/slog"
	"sync"
)

// Complaint logs that something does not work when that begins, or its reason changes, and when it
// works again; not each time.
type Complaint struct {
	log  *slog.Logger
	what string

	mu sync.Mutex
	// Guarded by mu.
	current string
}

// NewComplaint makes a complaint of what does not work.
func NewComplaint(log *slog.Logger, what string) *Complaint { return &Complaint{log: log, what: what} }

// Note takes in how it went.
func (c *Complaint) Note(err error) {
	var text string
	if err != nil {
		text = err.Error()
	}
	c.mu.Lock()
	was := c.current
	c.current = text
	c.mu.Unlock()
	switch {
	case text == was:
	case text == "":
		c.log.Info("over: " + c.what)
	default:
		c.log.Warn(c.what, "err", text)
	}
}
