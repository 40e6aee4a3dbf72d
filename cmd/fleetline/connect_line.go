package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/fleetline/fleetline"
	"github.com/fleetline/fleetline/internal/terminal"
)

// line shows a machine's connection, and hands what comes to a program if there is one.
type line struct {
	addr    string
	config  fleetline.Config
	screen  *terminal.Screen
	kept    *keptKey // nil: nothing is kept for the next start
	program *program // nil: messages are shown alone
}

// hold holds the line until ctx ends or the gateway has spoken a verdict, and says the latter.
func (l *line) hold(ctx context.Context) error {
	return l.goodbye(l.follow(ctx))
}

func (l *line) follow(ctx context.Context) error {
	alive, end := context.WithCancel(ctx) // as long as the line may go on
	defer end()
	told := l.config.OnStatus
	l.config.OnStatus = func(s fleetline.Status) {
		l.show(s)
		if told != nil {
			told(s)
		}
		if s.Phase == fleetline.Ended {
			end() // a program that has a message is not waited for
		}
	}
	l.config.OnGap = func(g fleetline.Gap) { l.screen.Gap(g.Until.Seq + 1) }
	l.config.OnHeartbeat = l.screen.Heartbeat
	client, err := fleetline.Connect(ctx, l.addr, l.config)
	if err != nil {
		return connectError(ctx, err)
	}
	for m := range client.Messages(alive) {
		if err := l.take(alive, m); err != nil {
			if alive.Err() == nil {
				return errors.Join(err, client.Close())
			}
			break
		}
		client.Ack()
	}
	err = client.Err()
	return errors.Join(err, client.Close())
}

// take processes a message. Only when it returns nil does the machine's position move past it.
func (l *line) take(ctx context.Context, m fleetline.Message) error {
	what := terminal.Message{Seq: m.Position.Seq, Epoch: m.Position.Epoch, ID: m.ID, Data: m.Data}
	if err := l.screen.Message(what); err != nil || l.program == nil {
		return err
	}
	return l.program.hand(ctx, what)
}

// connectError tells a verdict and the end of ctx from wrong settings: a client that may go on
// trying does not return.
func connectError(ctx context.Context, err error) error {
	var refusal *fleetline.Refusal
	var file *fs.PathError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &refusal), errors.As(err, &file):
		return err
	}
	return wrongUse{err}
}

func (l *line) show(s fleetline.Status) {
	switch s.Phase {
	case fleetline.Connecting:
		l.screen.State(terminal.Connecting, l.addr)
	case fleetline.Connected:
		l.screen.State(terminal.Connected, l.screen.Language().Say(terminal.WordMachine, s.MachineID))
		if l.kept != nil {
			l.kept.accepted()
		}
	case fleetline.Waiting:
		l.screen.Waiting(problemOf(s.Reason, l.addr, fleetline.ProbeReport{}), s.Delay)
	case fleetline.Ended:
		var refusal *fleetline.Refusal
		detail := "" // the sentence is told when the command ends
		if errors.As(s.Reason, &refusal) {
			detail = string(refusal.Code)
		}
		l.screen.State(terminal.Closed, detail)
	}
}

// goodbye says a verdict in words, and what a person can do now.
func (l *line) goodbye(err error) error {
	say := l.screen.Language().Say
	var refusal *fleetline.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	end := terminal.Ending{Words: refusal.Message}
	switch {
	case errors.Is(err, fleetline.ErrMachineDeleted):
		end.Sentence, end.Done, end.Advice = say(terminal.WordDeleted), l.cleared(), say(terminal.WordDeletedAdvice)
	case errors.Is(err, fleetline.ErrBadKey):
		end.Sentence, end.Advice = say(terminal.WordBadKey), say(terminal.WordBadKeyAdvice)
		if l.kept != nil && l.kept.usesStored() {
			end.Advice = say(terminal.WordBadKeyStored)
		}
	case errors.Is(err, fleetline.ErrProtocol):
		end.Sentence = say(terminal.WordProtocol)
	default:
		return err
	}
	l.screen.End(end)
	return alreadyTold{err}
}

// cleared says what became of what was kept for a machine that was deleted.
func (l *line) cleared() string {
	say := l.screen.Language().Say
	if l.kept == nil {
		return ""
	}
	if err := l.kept.notSaved(); err != nil {
		return say(terminal.WordNotCleared, err)
	}
	return say(terminal.WordDeletedCleared)
}
