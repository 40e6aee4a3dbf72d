package fleetline

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"
)

// probeWithin bounds each question of a Probe.
const probeWithin = 15 * time.Second

// ProbeReport is what a Probe found, as far as it came.
type ProbeReport struct {
	// URL is the WebSocket address that was asked.
	URL string
	// Proxy is the proxy on the way, without its password; empty if there is none.
	Proxy string
	// RemoteAddr is the address that took the connection: the server's, or the proxy's.
	RemoteAddr string
	// TLS is the state of the encrypted connection; nil without one.
	TLS *tls.ConnectionState
	// Named tells that the server calls itself a Fleetline gateway. An older one may not.
	Named bool
	// Clock is the server's time, as far as its answers tell; Asked is this host's at that moment.
	Clock, Asked time.Time
}

// Skew is how far this host's clock is ahead of the server's; 0 if that is not known.
func (r *ProbeReport) Skew() time.Duration {
	if r.Clock.IsZero() {
		return 0
	}
	return r.Asked.Sub(r.Clock)
}

// Probe asks whether there is a gateway at addr that lets WebSockets in, on the road that Connect
// would take with cfg: proxies, certificates and redirects count as they do there. It sends no key
// and needs none. The error says what is in the way: one of the network, of TLS, or an *HTTPError.
func Probe(ctx context.Context, addr string, cfg Config) (ProbeReport, error) {
	endpoint, err := Endpoint(addr)
	if err != nil {
		return ProbeReport{}, err
	}
	p := &probe{dialer: newDialer(endpoint, cfg.withDefaults()), report: ProbeReport{URL: endpoint}}
	page, err := p.ask(ctx)
	if err != nil {
		return p.report, fmt.Errorf("asking for a gateway: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	conn, _, err := p.dialer.dial(ctx)
	if err == nil {
		return p.report, conn.CloseNow()
	}
	if _, isPage := errors.AsType[*HTTPError](err); isPage && !p.report.Named && page.Status != http.StatusUpgradeRequired {
		err = page // what a browser would see says more than the refusal of a WebSocket
	}
	return p.report, fmt.Errorf("asking for a gateway: %w", err)
}

// probe is one run of Probe.
type probe struct {
	dialer *dialer
	report ProbeReport
}

// ask asks as a browser would: a gateway answers with its name, everything else with what it is.
func (p *probe) ask(ctx context.Context) (*HTTPError, error) {
	req, err := p.request(ctx, http.MethodGet)
	if err != nil {
		return nil, err
	}
	if via, err := http.ProxyFromEnvironment(req); err == nil && via != nil {
		p.report.Proxy = via.Redacted()
	}
	ctx, cancel := context.WithTimeout(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(c httptrace.GotConnInfo) { p.report.RemoteAddr = c.Conn.RemoteAddr().String() },
	}), probeWithin)
	defer cancel()
	for name, values := range p.dialer.header {
		req.Header[name] = values
	}
	resp, err := (&http.Client{Transport: p.dialer.transport, CheckRedirect: sameHost}).Do(req.WithContext(ctx))
	if err != nil {
		return nil, p.failed(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	p.report.TLS = resp.TLS
	p.clock(resp)
	p.report.Named = callsItselfFleetline(resp.Body)
	return httpError(resp), nil
}

func (p *probe) request(ctx context.Context, method string) (*http.Request, error) {
	// ws becomes http, wss becomes https.
	return http.NewRequestWithContext(ctx, method, "http"+strings.TrimPrefix(p.dialer.url, "ws"), nil)
}

// failed takes the address off err, which the caller knows. Whether a certificate is out of date or
// this host's clock is wrong tells the server's clock: it is asked for alone, with nothing else.
func (p *probe) failed(ctx context.Context, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		blind := p.dialer.transport.Clone()
		blind.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		if req, reqErr := p.request(ctx, http.MethodHead); reqErr == nil {
			if resp, headErr := blind.RoundTrip(req); headErr == nil {
				_ = resp.Body.Close()
				p.clock(resp)
			}
		}
	}
	return err
}

func (p *probe) clock(resp *http.Response) {
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		p.report.Clock, p.report.Asked = date, time.Now()
	}
}

func callsItselfFleetline(body io.Reader) bool {
	var card struct {
		Name string `json:"name"`
	}
	err := json.NewDecoder(io.LimitReader(body, 4096)).Decode(&card)
	return err == nil && card.Name == "fleetline"
}
