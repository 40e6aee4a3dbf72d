package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/fleetline/fleetline"
	"github.com/fleetline/fleetline/internal/terminal"
	"github.com/fleetline/fleetline/wire"
)

// problemOf says in a person's words why a gateway could not be reached or has let go: the first of
// the questions below that knows the error answers. r is what a check has found; it may be empty.
func problemOf(err error, addr string, r fleetline.ProbeReport) terminal.Problem {
	where := gatewayHost(addr)
	for _, known := range []func() (terminal.Problem, bool){
		func() (terminal.Problem, bool) { return refusalProblem(err) },
		func() (terminal.Problem, bool) { return ownProblem(err) },
		func() (terminal.Problem, bool) { return pageProblem(err, where, r) },
		func() (terminal.Problem, bool) { return certificateProblem(err, where, r) },
		func() (terminal.Problem, bool) { return networkProblem(err, where) },
	} {
		if p, ok := known(); ok {
			return p
		}
	}
	return terminal.Problem{Fault: terminal.FaultBroken, Cause: err.Error()}
}

func problem(f terminal.Fault, args ...any) (terminal.Problem, bool) {
	return terminal.Problem{Fault: f, Args: args}, true
}

// gatewayHost is host and port of the gateway, as a person would say them.
func gatewayHost(addr string) string {
	if endpoint, err := fleetline.Endpoint(addr); err == nil {
		if u, err := url.Parse(endpoint); err == nil {
			return u.Host
		}
	}
	return addr
}

func isLocal(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

// refusalProblem knows what a gateway says.
func refusalProblem(err error) (terminal.Problem, bool) {
	var refusal *fleetline.Refusal
	if !errors.As(err, &refusal) {
		return terminal.Problem{}, false
	}
	faults := map[wire.Code]terminal.Fault{
		wire.CodeSilent: terminal.FaultSilent, wire.CodeAuthTimeout: terminal.FaultTooSlow,
		wire.CodeRateLimited: terminal.FaultRateLimited, wire.CodeTooManyConnections: terminal.FaultTooMany,
		wire.CodeDirectoryUnavailable: terminal.FaultDirectory, wire.CodeBadToken: terminal.FaultBadToken,
		wire.CodeBacklogTooOld: terminal.FaultBacklog, wire.CodeHeld: terminal.FaultHeld,
		wire.CodeDrain: terminal.FaultRestarting,
	}
	if f, ok := faults[refusal.Code]; ok {
		return terminal.Problem{Fault: f, Cause: refusal.Message}, true
	}
	return terminal.Problem{Fault: terminal.FaultBroken, Cause: refusal.Error()}, true
}

// ownProblem knows what this end decides by itself.
func ownProblem(err error) (terminal.Problem, bool) {
	for _, own := range []struct {
		err   error
		fault terminal.Fault
	}{
		{fleetline.ErrSilent, terminal.FaultSilent}, {fleetline.ErrTooSlow, terminal.FaultTooSlow},
		{fleetline.ErrTooBig, terminal.FaultTooBig}, {fleetline.ErrNoKey, terminal.FaultNoKeyNow},
	} {
		if errors.Is(err, own.err) {
			return problem(own.fault)
		}
	}
	return terminal.Problem{}, false
}

// pageProblem knows HTTP answers that are no WebSocket.
func pageProblem(err error, where string, r fleetline.ProbeReport) (terminal.Problem, bool) {
	var page *fleetline.HTTPError
	if !errors.As(err, &page) {
		return terminal.Problem{}, false
	}
	status := strings.TrimSpace(fmt.Sprintf("%d %s", page.Status, http.StatusText(page.Status)))
	isJSON := strings.HasPrefix(page.ContentType, "application/json")
	switch code := page.Status; {
	case code == http.StatusProxyAuthRequired:
		return problem(terminal.FaultProxyAuth)
	case page.Proxy:
		return problem(terminal.FaultProxyRefuses, where, status)
	case code == http.StatusServiceUnavailable && isJSON:
		return problem(terminal.FaultRestarting)
	case code == 502 || code == 503 || code == 504 || code >= 520 && code <= 530: // the latter are Cloudflare's
		return problem(terminal.FaultBadGateway, status)
	case code == http.StatusTooManyRequests:
		return problem(terminal.FaultBusy, status)
	case code >= 300 && code < 400 && page.Location != "":
		return problem(terminal.FaultLoginPage, where, withoutQuery(page.Location))
	case code == http.StatusNetworkAuthenticationRequired:
		return problem(terminal.FaultLoginPage, where, status)
	case r.Named:
		return problem(terminal.FaultNoWebSocket, status)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return problem(terminal.FaultForbidden, status)
	case code == http.StatusBadRequest:
		return problem(terminal.FaultBadRequest, where, status)
	case code < 300:
		return problem(terminal.FaultWebPage, where, withServer(status, page))
	}
	return problem(terminal.FaultNotAGateway, where, withServer(status, page))
}

func withServer(status string, page *fleetline.HTTPError) string {
	if page.Server == "" {
		return status
	}
	return status + ", " + page.Server
}

// withoutQuery keeps what a login page puts into addresses off the screen.
func withoutQuery(location string) string {
	location, _, _ = strings.Cut(location, "?")
	return location
}

// certificateProblem knows what TLS finds fault with.
func certificateProblem(err error, where string, r fleetline.ProbeReport) (terminal.Problem, bool) {
	var dated x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var named x509.HostnameError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(err, &dated) && dated.Reason == x509.Expired:
		return dateProblem(dated.Cert, where, r)
	case errors.As(err, &named):
		names := append(named.Certificate.DNSNames, named.Certificate.Subject.CommonName)
		for _, ip := range named.Certificate.IPAddresses {
			names = append(names, ip.String())
		}
		return problem(terminal.FaultOtherName, where, strings.Trim(strings.Join(names, ", "), ", "))
	case errors.As(err, &unknown):
		return problem(terminal.FaultUntrusted, where)
	case errors.As(err, &dated):
		return terminal.Problem{Fault: terminal.FaultUntrusted, Args: []any{where}, Cause: dated.Error()}, true
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return problem(terminal.FaultNoTLS, where)
	case errors.As(err, &alert):
		return terminal.Problem{Fault: terminal.FaultBadTLS, Args: []any{where}, Cause: alert.Error()}, true
	}
	return terminal.Problem{}, false
}

// dateProblem tells a certificate that is out of date from a clock that is: the server's clock, if it
// was asked, says which.
func dateProblem(c *x509.Certificate, where string, r fleetline.ProbeReport) (terminal.Problem, bool) {
	isGood := !r.Clock.IsZero() && r.Clock.After(c.NotBefore) && r.Clock.Before(c.NotAfter)
	if isGood && r.Skew().Abs() > clocksApart {
		return problem(terminal.FaultClock, r.Asked.UTC().Format(time.DateTime), r.Clock.UTC().Format(time.DateTime+" UTC"))
	}
	if time.Now().Before(c.NotBefore) {
		return problem(terminal.FaultNotYetValid, where, c.NotBefore.Local().Format(time.DateTime))
	}
	return problem(terminal.FaultExpired, where, c.NotAfter.Local().Format(time.DateTime))
}

// networkProblem knows what lies below TLS.
func networkProblem(err error, where string) (terminal.Problem, bool) {
	var dns *net.DNSError
	var op *net.OpError
	var timeout net.Error
	switch {
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return terminal.Problem{Fault: terminal.FaultProxyDown, Cause: op.Err.Error()}, true
	case errors.As(err, &dns) && dns.IsNotFound:
		return problem(terminal.FaultNoName, dns.Name)
	case errors.As(err, &dns):
		return problem(terminal.FaultNoDNS, dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return problem(terminal.FaultRefused, where)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return problem(terminal.FaultUnreachable, where)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return problem(terminal.FaultTimeout, where)
	}
	return terminal.Problem{}, false
}
