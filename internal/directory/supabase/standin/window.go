package standin

import (
	"fmt"
	"strconv"
	"strings"
)

// window is which rows of an answer are wanted.
type window struct {
	offset, limit int
	isLimited     bool
}

// windowOf reads limit and offset, or else the Range header, and cuts at the project's max-rows.
func windowOf(c call, maxRows int) (w window, err error) {
	var last int
	if n, _ := fmt.Sscanf(c.Header.Get("Range"), "%d-%d", &w.offset, &last); n == 2 {
		if last < w.offset {
			return w, pgrst(416, "PGRST103", "Requested range not satisfiable",
				"The lower boundary must be lower than or equal to the upper boundary in the Range header.")
		}
		w.limit, w.isLimited = last-w.offset+1, true
	}
	if text := c.query.Get("offset"); text != "" {
		if w.offset, err = strconv.Atoi(text); err != nil {
			w.offset = 0 // what is no number is ignored
		}
	}
	if text := c.query.Get("limit"); text != "" {
		if w.limit, err = strconv.Atoi(text); err == nil {
			w.isLimited = true
		}
	}
	if w.limit < 0 {
		return w, pgrst(416, "PGRST103", "Requested range not satisfiable", "Limit should be greater than or equal to zero.")
	}
	if !w.isLimited || w.limit > maxRows {
		w.limit, w.isLimited = maxRows, true
	}
	return w, nil
}

func (w window) sql() string { return fmt.Sprintf(" limit %d offset %d", w.limit, w.offset) }

// status is that of an answer of n rows; total is -1 if it was not counted.
func (w window) status(n, total int) int {
	if total >= 0 && n < total {
		return 206
	}
	return 200
}

// contentRange says which rows an answer holds.
func contentRange(offset, n, total int) string {
	rows, all := "*", "*"
	if n > 0 {
		rows = fmt.Sprintf("%d-%d", offset, offset+n-1)
	}
	if total >= 0 {
		all = strconv.Itoa(total)
	}
	return rows + "/" + all
}

// prefers finds a preference such as "return" in the Prefer headers.
func (c call) prefers(name string) string {
	for _, header := range c.Header.Values("Prefer") {
		for preference := range strings.SplitSeq(header, ",") {
			key, value, _ := strings.Cut(strings.TrimSpace(preference), "=")
			if key == name {
				return value
			}
		}
	}
	return ""
}

const singular = "application/vnd.pgrst.object+json"

func (c call) wantsObject() bool { return strings.HasPrefix(c.Header.Get("Accept"), singular) }
