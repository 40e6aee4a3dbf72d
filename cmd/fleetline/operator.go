package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/server"
	"github.com/fleetline/fleetline/internal/terminal"
)

// operator are the flags of every command that calls the operators' API.
type operator struct {
	DataDir   string `env:"FLEETLINE_DATA_DIR,STATE_DIRECTORY" default:"fleetline-data" placeholder:"DIR" help:"Data folder of a gateway on this host; address and token are found there."`
	AdminAddr string `env:"FLEETLINE_ADMIN_ADDR" placeholder:"ADDR" help:"Address of the operators' API, if it is not the one in the data folder. Its token is FLEETLINE_ADMIN_TOKEN."`
	JSON      bool   `name:"json" help:"Print JSON, for programs."`

	// pinned says that the data folder was named on the command line and the address was not: then
	// the environment does not lead to another gateway.
	pinned bool
}

// AfterApply notes which flags stood on the command line.
func (o *operator) AfterApply(line *kong.Context) error {
	var folder, addr bool
	for _, p := range line.Path {
		if p.Flag != nil {
			folder = folder || p.Flag.Name == "data-dir"
			addr = addr || p.Flag.Name == "admin-addr"
		}
	}
	o.pinned = folder && !addr
	return nil
}

// client calls the gateway that the flags name.
func (o *operator) client() (*api.Client, error) {
	addr, err := o.setting(o.AdminAddr, server.AdminAddrFile)
	if err != nil {
		return nil, err
	}
	token, err := o.token()
	if err != nil {
		return nil, err
	}
	client, err := api.NewClient(baseURL(addr), token)
	if err != nil {
		return nil, wrongUse{err}
	}
	return client, nil
}

func (o *operator) token() (string, error) {
	return o.setting(secret("FLEETLINE_ADMIN_TOKEN"), server.AdminTokenFile)
}

// setting is what the environment gives or else what the gateway left in its data folder.
func (o *operator) setting(given, file string) (string, error) {
	if given != "" && !o.pinned {
		return given, nil
	}
	text, err := os.ReadFile(filepath.Join(o.DataDir, file))
	if errors.Is(err, fs.ErrNotExist) {
		return "", hinted{fmt.Errorf("no gateway keeps its data in %s now: %s is not there", o.DataDir, file),
			"name the folder of a running gateway with --data-dir, or set FLEETLINE_ADMIN_ADDR and FLEETLINE_ADMIN_TOKEN"}
	}
	if err != nil {
		return "", fmt.Errorf("looking for the gateway: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// baseURL takes host:port as well as a URL.
func baseURL(addr string) string {
	if strings.Contains(addr, "://") {
		return addr
	}
	if host, port, err := net.SplitHostPort(addr); err == nil && (host == "" || net.ParseIP(host).IsUnspecified()) {
		addr = net.JoinHostPort("127.0.0.1", port) // where a gateway on this host listens, too
	}
	return "http://" + addr
}

// printJSON prints v for programs.
func (c *console) printJSON(v any) error {
	text, err := terminal.EncodeJSON(v)
	if err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	_, err = fmt.Fprintf(c.out, "%s\n", text)
	return err
}

// printTable prints rows for people; the first names the columns. Machines choose some of the
// words, so none is trusted.
func (c *console) printTable(rows [][]string) error {
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if cell == "" {
				row[i] = "-"
			} else {
				row[i] = terminal.Safe(cell)
			}
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// when prints a time for people.
func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}
