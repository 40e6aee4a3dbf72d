package server

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// certificate is a pair of PEM files that is read again when it changes, so that a renewal needs no
// restart.
type certificate struct {
	// Fixed after construction.
	certFile, keyFile string

	mu sync.Mutex
	// Guarded by mu.
	pair    *tls.Certificate
	changed time.Time
	looked  time.Time
}

// lookEvery is how often the files' times are compared.
const lookEvery = time.Second

func newCertificate(certFile, keyFile string) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile}
	if err := c.loadLocked(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"http/1.1"}}
}

// get returns the pair; if new files cannot be read, the old one goes on serving.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) > lookEvery {
		_ = c.loadLocked() // a renewal that is half written is looked at again in a second
	}
	return c.pair, nil
}

func (c *certificate) loadLocked() error {
	c.looked = time.Now()
	changed, err := newest(c.certFile, c.keyFile)
	if err != nil || changed.Equal(c.changed) {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("reading the certificate and key: %w", err)
	}
	c.pair, c.changed = &pair, changed
	return nil
}

func newest(files ...string) (t time.Time, err error) {
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			return t, fmt.Errorf("looking at the certificate and key: %w", err)
		}
		if info.ModTime().After(t) {
			t = info.ModTime()
		}
	}
	return t, nil
}
