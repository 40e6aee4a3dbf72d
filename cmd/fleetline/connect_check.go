package main

import (
	"context"
	"strings"
	"time"

	"github.com/fleetline/fleetline"
	"github.com/fleetline/fleetline/internal/terminal"
)

// clocksApart is how far two clocks may be apart before a person is told.
const clocksApart = 2 * time.Minute

// checkup asks the server how it is before anything is asked of a person.
type checkup struct {
	addr   string
	config fleetline.Config
	screen *terminal.Screen
}

// run shows what it finds, and fails if the gateway cannot be used.
func (c checkup) run(ctx context.Context) error {
	report, err := fleetline.Probe(ctx, c.addr, c.config)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	found := c.findings(report)
	if err != nil {
		p := problemOf(err, c.addr, report)
		topic := topicOf(p.Fault)
		l := c.screen.Language()
		found = append(before(found, topic), terminal.Finding{Level: terminal.Failed, Topic: topic, Text: p.Sentence(l), Advice: p.Advice(l)})
	}
	for _, f := range found {
		c.screen.Check(f)
	}
	if err != nil {
		return alreadyTold{err}
	}
	return nil
}

// findings are those of a server with which all is well.
func (c checkup) findings(r fleetline.ProbeReport) []terminal.Finding {
	say := c.screen.Language().Say
	found := []terminal.Finding{{Topic: terminal.WordServer, Text: strings.TrimSuffix(r.URL, "/")}}
	if r.Proxy != "" {
		found = append(found, terminal.Finding{Topic: terminal.WordProxy, Text: r.Proxy})
	}
	tls := terminal.Finding{Topic: terminal.WordTLS}
	switch {
	case r.TLS == nil || len(r.TLS.PeerCertificates) == 0:
		tls.Text = say(terminal.WordPlain)
		if !isLocal(r.URL) {
			tls.Level = terminal.Notice
		}
	case c.config.TLS != nil && c.config.TLS.InsecureSkipVerify:
		tls.Level, tls.Text = terminal.Notice, say(terminal.WordTLSUnverified)
	default:
		tls.Text = say(terminal.WordTLSUntil, r.TLS.PeerCertificates[0].NotAfter.Local().Format(time.DateOnly))
	}
	found = append(found, tls)
	if skew := r.Skew(); skew.Abs() > clocksApart {
		clock := terminal.Finding{Level: terminal.Notice, Topic: terminal.WordClock, Advice: say(terminal.WordClockAdvice)}
		clock.Text = say(terminal.WordClockAhead, skew.Abs().Round(time.Second))
		if skew < 0 {
			clock.Text = say(terminal.WordClockBehind, skew.Abs().Round(time.Second))
		}
		found = append(found, clock)
	}
	if r.Named {
		return append(found, terminal.Finding{Topic: terminal.WordGateway, Text: say(terminal.WordSpeaks)})
	}
	return append(found, terminal.Finding{Level: terminal.Notice, Topic: terminal.WordGateway, Text: say(terminal.WordOpens)})
}

// before are the findings that come before topic: behind what is wrong nothing was found.
func before(found []terminal.Finding, topic terminal.Word) []terminal.Finding {
	for i, f := range found {
		if f.Topic == topic || f.Topic == terminal.WordGateway {
			return found[:i]
		}
	}
	return found
}

// topicOf is the part of the way that a fault belongs to.
func topicOf(f terminal.Fault) terminal.Word {
	switch f {
	case terminal.FaultProxyAuth, terminal.FaultProxyRefuses, terminal.FaultProxyDown:
		return terminal.WordProxy
	case terminal.FaultUntrusted, terminal.FaultOtherName, terminal.FaultExpired, terminal.FaultNotYetValid,
		terminal.FaultBadTLS, terminal.FaultNoTLS, terminal.FaultClock:
		return terminal.WordTLS
	case terminal.FaultNoName, terminal.FaultNoDNS, terminal.FaultRefused, terminal.FaultUnreachable,
		terminal.FaultTimeout, terminal.FaultUnknown, terminal.FaultBroken:
		return terminal.WordServer
	}
	return terminal.WordGateway
}
