package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Settings come from flags, then the environment, then the file .env of the working directory. A
// setting has one name: --log-level is FLEETLINE_LOG_LEVEL, --port is PORT.

// secret reads a setting that has no flag: other users of a host can see the command lines.
func secret(name string) string { return os.Getenv(name) }

// secrets names the settings that are read by secret.
func secrets() []string {
	return []string{
		"DATABASE_URL", "FLEETLINE_ADMIN_TOKEN", "FLEETLINE_API_KEY", "JWT_SECRET", "JWT_SECRET_PREVIOUS",
		"NATS_URL", "SUPABASE_SERVICE_ROLE_KEY",
	}
}

// The types below take any text and remember what was wrong with it, so that a person hears of
// every problem at once and not of the first one alone. An empty text is a setting that is not set.

// number is a setting with a whole number.
type number struct {
	value   int64
	problem string
}

// UnmarshalText reads a whole number.
func (n *number) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		return nil
	}
	if n.value, err = strconv.ParseInt(string(text), 10, 64); err != nil {
		n.problem = fmt.Sprintf("%q is not a whole number", text)
	}
	return nil
}

// duration is a setting with a length of time.
type duration struct {
	value   time.Duration
	problem string
}

// UnmarshalText reads a length of time.
func (d *duration) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		return nil
	}
	if d.value, err = time.ParseDuration(string(text)); err != nil {
		d.problem = fmt.Sprintf("%q is not a length of time such as 30s or 5m", text)
	}
	return nil
}

// yesNo is a setting that is on or off.
type yesNo struct {
	value   bool
	problem string
}

// IsBool lets the flag stand without a value.
func (*yesNo) IsBool() bool { return true }

// Decode reads yes or no.
func (y *yesNo) Decode(ctx *kong.DecodeContext) error {
	text := "true"
	if next := ctx.Scan.Peek(); next.Type == kong.FlagValueToken {
		text = fmt.Sprint(ctx.Scan.Pop().Value)
	}
	var err error
	if y.value, err = strconv.ParseBool(text); err != nil && text != "" {
		y.problem = fmt.Sprintf("%q is neither true nor false", text)
	}
	return nil
}

// choice is a setting with one of a few words.
type choice string

func (c choice) check(words ...string) string {
	for _, w := range words {
		if string(c) == w || c == "" {
			return ""
		}
	}
	return fmt.Sprintf("%q is none of %s", string(c), strings.Join(words, ", "))
}
