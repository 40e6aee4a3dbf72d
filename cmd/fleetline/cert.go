package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Names of the pair that serve looks for in its working directory.
const (
	certFile = "cert.pem"
	keyFile  = "key.pem"
)

type certCmd struct {
	Host  []string `placeholder:"NAME" help:"Names and addresses that the certificate is for, besides localhost and this host's own name."`
	Days  int      `default:"365" help:"How long it is good."`
	Dir   string   `default:"." placeholder:"DIR" help:"Folder for cert.pem and key.pem."`
	Force bool     `help:"Replace files that are there."`
	JSON  bool     `name:"json" help:"Print JSON, for programs."`
}

// Help shows an example.
func (certCmd) Help() string {
	return `Example:

	$ fleetline cert --host gateway.example.com,192.0.2.7

A gateway that is started in this folder finds the pair and serves wss. Machines need cert.pem, and never
key.pem: fleetline connect --ca cert.pem.`
}

// pair is a certificate with its key, as PEM.
type pair struct{ cert, key []byte }

// Run writes the pair.
func (t *certCmd) Run(c *console) error {
	if t.Days < 1 || t.Days > 3650 {
		return useError("--days %d: choose between 1 and 3650", t.Days)
	}
	names := t.names()
	made, err := selfSigned(names, time.Duration(t.Days)*24*time.Hour)
	if err != nil {
		return err
	}
	cert, key := filepath.Join(t.Dir, certFile), filepath.Join(t.Dir, keyFile)
	if !t.Force {
		if err := absent(cert, key); err != nil {
			return err
		}
	}
	if err := errors.Join(replace(key, made.key), replace(cert, made.cert)); err != nil {
		return err
	}
	if t.JSON {
		return c.printJSON(map[string]any{"cert": cert, "key": key, "names": names})
	}
	_, err = fmt.Fprintf(c.out, "wrote %s and %s for %s, good for %d days\n", cert, key, strings.Join(names, ", "), t.Days)
	return err
}

func (t *certCmd) names() []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if host, err := os.Hostname(); err == nil && host != "localhost" {
		names = append(names, host)
	}
	return append(names, t.Host...)
}

func selfSigned(names []string, life time.Duration) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("making a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return pair{}, fmt.Errorf("making a serial number: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "Fleetline gateway"},
		NotBefore:    now.Add(-time.Hour), // clocks of machines differ
		NotAfter:     now.Add(life),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return pair{}, fmt.Errorf("making a certificate: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, fmt.Errorf("encoding the key: %w", err)
	}
	return pair{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
	}, nil
}

func absent(files ...string) error {
	for _, f := range files {
		if _, err := os.Lstat(f); err == nil {
			return hinted{useError("%s is there already", f), "--force replaces it"}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("looking for %s: %w", f, err)
		}
	}
	return nil
}

// replace writes a file that only its owner may read, whole or not at all: a key must not be
// readable for a moment, nor keep the looser mode of a file that was there before.
func replace(name string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".new-*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, errors.Join(err, os.Remove(tmp.Name())))
	}
	return nil
}
