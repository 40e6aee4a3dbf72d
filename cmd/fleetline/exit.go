package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/fleetline/fleetline"
	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/server"
	"github.com/fleetline/fleetline/internal/terminal"
)

// Exit codes. Programs depend on them.
const (
	exitOK      = 0 // also when a person ended it
	exitFailure = 1
	exitUse     = 2 // wrong flags, settings or arguments: nothing was started
	exitDeleted = 3 // the machine was deleted
	exitBadKey  = 4 // the gateway does not accept the key
)

// wrongUse marks an error of the command line or the settings.
type wrongUse struct{ error }

func (w wrongUse) Unwrap() error { return w.error }

func useError(format string, args ...any) error { return wrongUse{fmt.Errorf(format, args...)} }

// alreadyTold marks an error that a person has been told of already.
type alreadyTold struct{ error }

func (s alreadyTold) Unwrap() error { return s.error }

// hinted adds what to do next.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

func exitCode(err error) int {
	var use wrongUse
	var problems server.Problems
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return exitOK
	case errors.Is(err, fleetline.ErrMachineDeleted):
		return exitDeleted
	case errors.Is(err, fleetline.ErrBadKey):
		return exitBadKey
	case errors.As(err, &use), errors.As(err, &problems):
		return exitUse
	}
	return exitFailure
}

// fail prints err, if there is something to say, and returns its exit code.
func (c *console) fail(err error) int {
	code := exitCode(err)
	var told alreadyTold
	if code != exitOK && !errors.As(err, &told) {
		text := explain(err)
		if isJournal(c.err) {
			text = asErrors(text)
		}
		fmt.Fprint(c.err, text)
	}
	return code
}

// explain says what is wrong: one line, or one for each problem, and what to do next.
func explain(err error) string {
	if problems, in := problemsOf(err); len(problems) > 1 {
		text := fmt.Sprintf("fleetline: %d problems%s:\n", len(problems), in)
		for _, p := range problems {
			text += "  - " + terminal.Safe(p) + "\n"
		}
		return text
	}
	sentence, hint := sentenceOf(err)
	text := "fleetline: " + terminal.Safe(sentence) + "\n"
	if hint != "" {
		text += "  hint: " + terminal.Safe(hint) + "\n"
	}
	return text
}

// problemsOf are those that were found at once, and where.
func problemsOf(err error) (problems []string, in string) {
	if settings, ok := errors.AsType[server.Problems](err); ok {
		return settings, " in the settings"
	}
	if use, ok := errors.AsType[wrongUse](err); ok {
		if joined, ok := use.error.(interface{ Unwrap() []error }); ok {
			for _, one := range joined.Unwrap() {
				problems = append(problems, one.Error())
			}
		}
	}
	return problems, ""
}

// isListening tells whether err is of a port that was to be opened here.
func isListening(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "listen"
}

func sentenceOf(err error) (sentence, hint string) {
	var refused *api.Error
	var h hinted
	var own interface{ Hint() string }
	var use wrongUse
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &refused):
		reasons := strings.Join(append([]string{refused.Detail}, refused.Reasons...), "; ")
		return fmt.Sprintf("%s (%s)", reasons, refused.Code), refused.Hint
	case errors.As(err, &h):
		return err.Error(), h.hint
	case errors.As(err, &own):
		return err.Error(), own.Hint()
	case errors.Is(err, syscall.EADDRINUSE):
		return err.Error(), "something else listens there (on Linux `ss -ltnp` shows what): stop it, or choose another port"
	case errors.Is(err, syscall.EACCES) && isListening(err):
		return err.Error(), "ports below 1024 are for the superuser, or on Linux for services with AmbientCapabilities=CAP_NET_BIND_SERVICE: choose another port"
	case errors.Is(err, syscall.ECONNREFUSED):
		return err.Error(), "is the gateway running? Name its data folder with --data-dir"
	case errors.As(err, &unknown):
		return err.Error(), "is it a certificate of the gateway's own? On Linux SSL_CERT_FILE=cert.pem trusts it"
	case errors.As(err, &use):
		return err.Error(), "fleetline COMMAND --help shows how each command is used"
	}
	return err.Error(), ""
}
