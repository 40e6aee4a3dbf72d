package fleetline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// dialer opens WebSockets to one address.
type dialer struct {
	url       string
	header    http.Header
	transport *http.Transport
	limit     int64
}

func newDialer(addr string, cfg Config) *dialer {
	dial := cfg.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	onlyHTTP1 := new(http.Protocols)
	onlyHTTP1.SetHTTP1(true)
	return &dialer{
		url:    addr,
		header: cfg.Header,
		limit:  cfg.MaxFrame,
		transport: &http.Transport{
			Proxy:             http.ProxyFromEnvironment,
			DialContext:       dial,
			TLSClientConfig:   cfg.TLS.Clone(),
			Protocols:         onlyHTTP1,
			DisableKeepAlives: true,
			OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
				if resp.StatusCode == http.StatusOK {
					return nil
				}
				refused := httpError(resp)
				refused.Proxy = true
				return refused
			},
		},
	}
}

// dial opens one. ctx bounds the opening only.
func (d *dialer) dial(ctx context.Context) (*websocket.Conn, *pulse, error) {
	tap := &tap{base: d.transport}
	conn, resp, err := websocket.Dial(ctx, d.url, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: tap, CheckRedirect: sameHost},
		HTTPHeader: d.header,
	})
	if err == nil {
		conn.SetReadLimit(d.limit)
		return conn, tap.pulse, nil
	}
	if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, nil, httpError(resp)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // what it adds is the address, which the caller knows
	}
	return nil, nil, fmt.Errorf("opening a WebSocket: %w", err)
}

// sameHost keeps the key at the host it was meant for, and under TLS once there.
func sameHost(req *http.Request, via []*http.Request) error {
	from := via[len(via)-1].URL
	if len(via) > 5 || req.URL.Hostname() != from.Hostname() || from.Scheme == "https" && req.URL.Scheme != "https" {
		return http.ErrUseLastResponse
	}
	return nil
}

// tap gives the opened connection a pulse.
type tap struct {
	base  http.RoundTripper
	pulse *pulse
}

func (t *tap) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, err
	}
	if rwc, ok := resp.Body.(io.ReadWriteCloser); ok {
		t.pulse = &pulse{ReadWriteCloser: rwc, opened: time.Now()}
		resp.Body = t.pulse
	}
	return resp, nil
}

// pulse is the byte stream under a WebSocket. It knows when the last byte came: a large frame on a
// slow link is alive long before it is whole.
type pulse struct {
	io.ReadWriteCloser
	opened time.Time
	last   atomic.Int64 // nanoseconds after opened
}

func (p *pulse) Read(b []byte) (int, error) {
	n, err := p.ReadWriteCloser.Read(b)
	if n > 0 {
		p.beat()
	}
	return n, err
}

func (p *pulse) beat() { p.last.Store(int64(time.Since(p.opened))) }

// quiet is how long nothing came.
func (p *pulse) quiet() time.Duration {
	return time.Since(p.opened) - time.Duration(p.last.Load())
}
