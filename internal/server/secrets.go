package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fleetline/fleetline/internal/directory"
)

// Files in the data folder.
const (
	// AdminTokenFile holds the token of the operators' port.
	AdminTokenFile = "admin.token"
	// AdminAddrFile holds the URL of the operators' port while a server runs.
	AdminAddrFile = "admin.addr"
	// FirstKeyFile holds the key of the account that a first start made without a terminal.
	FirstKeyFile = "first-account.key"
	// firstMadeFile says that there was a first account, whatever became of it.
	firstMadeFile = "first-account.made"
	jwtFile       = "jwt.secret"
	storeDir      = "store"
)

// keptSecret is the one that was given or else the one kept in the file, made if there is none.
func keptSecret(given Secret, file string) (Secret, error) {
	if given != "" {
		return given, nil
	}
	b, err := os.ReadFile(file)
	if s := strings.TrimSpace(string(b)); err == nil && s != "" {
		return Secret(s), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading a secret: %w", err)
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	s := base64.RawURLEncoding.EncodeToString(raw)
	return Secret(s), writeFile(file, s+"\n")
}

// writeFile writes a file that only its owner may read, whole or not at all.
func writeFile(file, text string) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), ".new-*") // 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", filepath.Base(file), err)
	}
	_, err = tmp.WriteString(text)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("writing %s: %w", filepath.Base(file), err)
	}
	return nil
}

// makeFirstAccount gives a first start an account, so that it can be used at once. Whoever deletes all
// accounts later wants none.
func (s *Server) makeFirstAccount(ctx context.Context) error {
	made := filepath.Join(s.config.DataDir, firstMadeFile)
	if _, err := os.Stat(made); err == nil || s.elsewhere() != nil {
		return nil
	}
	accounts := s.own.Accounts()
	have, err := accounts.ListAccounts(ctx)
	if err != nil {
		return err
	}
	if len(have) == 0 {
		if err := s.addFirstAccount(ctx, accounts); err != nil {
			return err
		}
	}
	return writeFile(made, "")
}

func (s *Server) addFirstAccount(ctx context.Context, accounts directory.AccountAdmin) error {
	a, key, err := accounts.Add(ctx, "first")
	if err != nil {
		return fmt.Errorf("making the first account: %w", err)
	}
	if s.config.ShowFirstKey != nil {
		s.config.ShowFirstKey(a.ID, string(key))
		return nil
	}
	file := filepath.Join(s.config.DataDir, FirstKeyFile)
	s.log.Info("the first account was made; its API key is in a file", "account", a.ID, "file", file)
	return writeFile(file, string(key)+"\n")
}
