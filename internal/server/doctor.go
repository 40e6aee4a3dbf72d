package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/directory/postgres"
	"github.com/fleetline/fleetline/internal/directory/supabase"
)

// Diagnose tries the settings out against the real thing, changes nothing, and says what it found. It
// works beside a gateway that runs with the same settings. The problems are those of the settings by
// themselves.
func Diagnose(ctx context.Context, c Config, problems Problems) []directory.Finding {
	found := settingsFindings(problems)
	c = c.withDefaults()
	found = append(found, folderFinding(c.DataDir))
	found = append(found, portFinding(ctx, "machines' port", c.Addr, "/"), portFinding(ctx, "operators' port", c.AdminAddr, "/healthz"))
	found = append(found, tlsFinding(c))
	return append(found, directoryFindings(ctx, c)...)
}

func settingsFindings(problems Problems) []directory.Finding {
	if len(problems) == 0 {
		return []directory.Finding{{Topic: "settings", Text: "no problem found"}}
	}
	var found []directory.Finding
	for _, p := range problems {
		found = append(found, directory.Finding{Topic: "settings", Level: directory.Fail, Text: p})
	}
	return found
}

// folderFinding tries whether the data folder can be written to. One that is not there yet is made by the
// gateway, so its parent counts.
func folderFinding(dir string) directory.Finding {
	f := directory.Finding{Topic: "data folder", Text: dir + " can be written to"}
	at := dir
	for {
		info, err := os.Stat(at)
		if errors.Is(err, fs.ErrNotExist) && filepath.Dir(at) != at {
			at = filepath.Dir(at)
			continue
		}
		if err == nil && !info.IsDir() {
			err = errors.New("it is no folder")
		}
		if err == nil {
			err = tryWriting(at)
		}
		if err != nil {
			f.Level, f.Text = directory.Fail, fmt.Sprintf("%s cannot be used: %v", dir, err)
			f.Hint = "Run as the user that the gateway runs as, or name another folder in FLEETLINE_DATA_DIR."
		} else if at != dir {
			f.Text = dir + " is not there yet and can be made"
		}
		return f
	}
}

func tryWriting(dir string) error {
	file, err := os.CreateTemp(dir, ".fleetline-doctor-*")
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			return path.Err
		}
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// portFinding tells a free port, one with a gateway on it, and one that something else has taken.
func portFinding(ctx context.Context, topic, addr, path string) directory.Finding {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		_ = l.Close()
		return directory.Finding{Topic: topic, Text: addr + " is free"}
	}
	if isGateway(ctx, addr, path) {
		return directory.Finding{Topic: topic, Text: "a gateway runs on " + addr}
	}
	return directory.Finding{Topic: topic, Level: directory.Fail, Text: fmt.Sprintf("%s cannot be opened: %v", addr, rootOf(err)),
		Hint: "Stop what has taken it (ss -ltnp shows it), or choose another one."}
}

// isGateway asks who is there. A gateway says its name to whoever comes without an upgrade, and an
// operators' port that it is well.
func isGateway(ctx context.Context, addr, path string) bool {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{
		// Who is there is asked, and nothing is told.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}
	for _, scheme := range []string{"http", "https"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, port)+path, nil)
		if err != nil {
			return false
		}
		resp, err := client.Do(req)
		if err != nil {
			continue
		}
		var said struct{ Name, Status string }
		err = json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 4<<10)).Decode(&said)
		_ = resp.Body.Close()
		if err == nil && (said.Name == "fleetline" || said.Status == "ok") {
			return true
		}
	}
	return false
}

// rootOf is the cause without the address, which is said already.
func rootOf(err error) error {
	for next := err; next != nil; next = errors.Unwrap(next) {
		err = next
	}
	return err
}

// soon is when a certificate should have been renewed.
const soon = 14 * 24 * time.Hour

func tlsFinding(c Config) directory.Finding {
	f := directory.Finding{Topic: "TLS"}
	if c.TLSCert == "" || c.TLSKey == "" {
		f.Text = "none here: machines connect by ws"
		if !isLoopback(c.Addr) {
			f.Level, f.Hint = directory.Warn, "Put a proxy with TLS in front, or name a certificate and key: keys travel in the clear otherwise."
		}
		return f
	}
	cert, err := newCertificate(c.TLSCert, c.TLSKey)
	if err != nil {
		f.Level, f.Text, f.Hint = directory.Fail, err.Error(), "Both files must be PEM and belong together; `fleetline cert` makes a pair for development."
		return f
	}
	leaf := cert.pair.Leaf
	f.Text = fmt.Sprintf("%s is good until %s", c.TLSCert, leaf.NotAfter.UTC().Format(time.DateTime))
	switch now := time.Now(); {
	case now.After(leaf.NotAfter) || now.Before(leaf.NotBefore):
		f.Level, f.Text = directory.Fail, fmt.Sprintf("%s is good from %s to %s, and not now", c.TLSCert, leaf.NotBefore.UTC().Format(time.DateTime), leaf.NotAfter.UTC().Format(time.DateTime))
		f.Hint = "Renew it, and look at this host's clock."
	case leaf.NotAfter.Sub(now) < soon:
		f.Level, f.Hint = directory.Warn, "Renew it: a changed file is taken up while the gateway runs."
	}
	return f
}

func directoryFindings(ctx context.Context, c Config) []directory.Finding {
	switch {
	case c.SupabaseURL != "":
		return supabase.Diagnose(ctx, supabase.Config{URL: c.SupabaseURL, ServiceKey: directory.Key(c.SupabaseKey), Names: c.Names, Logger: c.Logger})
	case c.DatabaseURL != "":
		return postgres.Diagnose(ctx, postgres.Config{URL: postgres.URL(c.DatabaseURL), Names: c.Names, Logger: c.Logger})
	}
	return []directory.Finding{{Topic: "directory", Text: "accounts and machines are kept in the data folder"}}
}
