package server

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fleetline/fleetline/internal/broker"
)

// A backup is a tar file: what it is, the files of the data folder, the streams of the store in parts,
// and a last entry without which it is not whole.
const (
	backupFormat = 1
	backupAbout  = "fleetline-backup.json"
	backupFiles  = "files/"
	backupStream = "streams/"
	backupConfig = "config.json"
	backupEnd    = "complete"
)

// about is the first entry of a backup.
type about struct {
	Format       int       `json:"format"`
	Installation string    `json:"installation"`
	Epoch        string    `json:"epoch"`
	MadeAt       time.Time `json:"madeAt"`
	MadeBy       string    `json:"madeBy"` // the program's version
}

// keptFiles are the files of the data folder that a backup holds.
var keptFiles = []string{jwtFile, AdminTokenFile, firstMadeFile, FirstKeyFile}

// backup writes a backup of the running server.
func (s *Server) backup(ctx context.Context, w io.Writer) error {
	out := tar.NewWriter(w)
	what, err := json.Marshal(about{
		Format: backupFormat, Installation: s.broker.Installation(), Epoch: s.broker.Epoch(), MadeAt: time.Now().UTC(), MadeBy: s.config.Version,
	})
	if err == nil {
		err = addEntry(out, backupAbout, what)
	}
	for _, name := range keptFiles {
		if err != nil {
			break
		}
		var text []byte
		if text, err = os.ReadFile(filepath.Join(s.config.DataDir, name)); errors.Is(err, fs.ErrNotExist) {
			err = nil
		} else if err == nil {
			err = addEntry(out, backupFiles+name, text)
		}
	}
	parts := 0
	if err == nil {
		err = broker.Backup(ctx, s.broker, func(p broker.Part) error {
			parts++
			if p.Config != nil {
				return addEntry(out, backupStream+p.Stream+"/"+backupConfig, p.Config)
			}
			return addEntry(out, fmt.Sprintf("%s%s/%08d", backupStream, p.Stream, parts), p.Data)
		})
	}
	if err == nil {
		err = addEntry(out, backupEnd, nil)
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		return fmt.Errorf("making the backup: %w", err)
	}
	return nil
}

func addEntry(out *tar.Writer, name string, data []byte) error {
	if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), ModTime: time.Now()}); err != nil {
		return err
	}
	_, err := out.Write(data)
	return err
}

// ErrNotEmpty refuses to restore into a folder that holds something.
var ErrNotEmpty = errors.New("the data folder is not empty")

// Restore puts a backup into the empty data folder of a gateway that does not run. If it fails, the
// folder is empty again.
func Restore(ctx context.Context, dir string, backup io.Reader, log *slog.Logger) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = makeDataDir(dir)
	case err == nil && len(entries) > 0:
		err = ErrNotEmpty
	}
	if err != nil {
		return fmt.Errorf("restoring into %s: %w", dir, err)
	}
	if err := restore(ctx, dir, tar.NewReader(backup), log); err != nil {
		return errors.Join(fmt.Errorf("restoring into %s: %w", dir, err), emptyDir(dir))
	}
	return nil
}

// emptyDir takes back what was begun; the folder held nothing before.
func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

func restore(ctx context.Context, dir string, in *tar.Reader, log *slog.Logger) error {
	if err := checkAbout(in); err != nil {
		return err
	}
	r := &restoring{dir: dir, in: in}
	config := broker.Config{Dir: filepath.Join(dir, storeDir), Logger: log}
	if err := broker.Restore(ctx, config, r.next); err != nil {
		return err
	}
	if !r.whole {
		return errors.New("the backup is not whole: its end is missing")
	}
	return nil
}

func checkAbout(in *tar.Reader) error {
	h, err := in.Next()
	if err != nil || h.Name != backupAbout {
		return errors.New("this is no backup of a gateway")
	}
	var a about
	if err := json.NewDecoder(io.LimitReader(in, 1<<16)).Decode(&a); err != nil {
		return errors.New("this is no backup of a gateway")
	}
	if a.Format != backupFormat {
		return fmt.Errorf("the backup has format %d, made by version %q; this version restores format %d", a.Format, a.MadeBy, backupFormat)
	}
	return nil
}

// restoring reads the entries of a backup: files are written, parts of streams handed on.
type restoring struct {
	dir   string
	in    *tar.Reader
	whole bool
}

// mostPart bounds an entry: far more than any has.
const mostPart = 16 << 20

func (r *restoring) next() (*broker.Part, error) {
	for {
		h, err := r.in.Next()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the backup: %w", err)
		}
		if h.Size > mostPart || r.whole {
			return nil, errors.New("the backup is not as backups are")
		}
		data, err := io.ReadAll(r.in)
		if err != nil {
			return nil, fmt.Errorf("reading the backup: %w", err)
		}
		p, err := r.take(h.Name, data)
		if p != nil || err != nil {
			return p, err
		}
	}
}

// take writes a file, or is a part of a stream.
func (r *restoring) take(name string, data []byte) (*broker.Part, error) {
	if name == backupEnd {
		r.whole = true
		return nil, nil
	}
	if file, ok := strings.CutPrefix(name, backupFiles); ok {
		for _, known := range keptFiles {
			if file == known {
				return nil, writeFile(filepath.Join(r.dir, file), string(data))
			}
		}
		return nil, nil // of a later version
	}
	stream, what, ok := strings.Cut(strings.TrimPrefix(name, backupStream), "/")
	switch {
	case !ok || !strings.HasPrefix(name, backupStream):
		return nil, nil
	case what == backupConfig:
		return &broker.Part{Stream: stream, Config: data}, nil
	}
	return &broker.Part{Stream: stream, Data: data}, nil
}
