package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	jsonType = "application/json"
	// answerTimeout bounds how long a gateway may take to begin an answer.
	answerTimeout = 30 * time.Second
	// idlePerHost keeps connections for publishers that make many calls at once.
	idlePerHost = 256
	// maxProblem bounds what is read of a refusal.
	maxProblem = 1 << 20
)

// Client calls the operator API of one gateway. It is safe for use by many goroutines.
type Client struct {
	base string
	http *http.Client
	// authorize is a function so that no way of printing a Client reaches the token.
	authorize func(http.Header)
}

// NewClient makes a client for the gateway at baseURL, for example http://127.0.0.1:5001.
func NewClient(baseURL, token string) (*Client, error) {
	u, err := url.Parse(baseURL)
	switch {
	case err != nil:
		return nil, errors.New("reading the gateway's address: it is not a URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, errors.New("reading the gateway's address: it must be http://host:port or https://host:port")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("reading the gateway's address: it must not carry a user, a query or a fragment")
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, idlePerHost
	t.ResponseHeaderTimeout = answerTimeout
	t.DisableCompression = true
	c := &Client{base: strings.TrimSuffix(u.String(), "/"), authorize: bearer(token)}
	return c.WithTransport(t), nil
}

// WithTransport is the same client over another transport, for TLS settings of one's own.
func (c *Client) WithTransport(t http.RoundTripper) *Client {
	return &Client{
		base:      c.base,
		authorize: c.authorize,
		http: &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}},
	}
}

// Close lets go of connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func bearer(token string) func(http.Header) {
	return func(h http.Header) {
		if token != "" {
			h.Set("Authorization", "Bearer "+token)
		}
	}
}

// call makes one call: in and out may be nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := encode(in)
		if err != nil {
			return fmt.Errorf("encoding a request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	resp, err := c.send(ctx, method, path, jsonType, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxProblem))
		return err
	}
	if err := isType(resp, jsonType); err != nil {
		return err
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	// What is left is the line's end; a body read to its end lets the connection be used again.
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxProblem))
	return err
}

// send makes a request and turns every answer but 2xx into an error.
func (c *Client) send(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	return c.do(req)
}

// get is send without a body, with headers of its own.
func (c *Client) get(ctx context.Context, path string, headers func(http.Header)) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	headers(req.Header)
	return c.do(req)
}

func (c *Client) do(req *http.Request) (*http.Response, error) {
	c.authorize(req.Header)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("calling the gateway: %w", err)
	}
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, refusal(resp)
}

// refusal reads the problem document of an answer. An answer without one is not a gateway's.
func refusal(resp *http.Response) error {
	e := &Error{}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if isType(resp, ProblemType) == nil && err == nil && json.Unmarshal(body, e) == nil && e.Code != "" {
		e.Status = resp.StatusCode
		return e
	}
	e = NewError(CodeUnexpectedAnswer, fmt.Sprintf("the answer was %d without a problem document", resp.StatusCode))
	e.Status = resp.StatusCode
	return e
}

func isType(resp *http.Response, want string) error {
	if got, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); got != want {
		return NewError(CodeUnexpectedAnswer, "the answer is not "+want)
	}
	return nil
}

// encode writes one line of JSON. Texts are not HTML-escaped: machines get the publisher's text.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
