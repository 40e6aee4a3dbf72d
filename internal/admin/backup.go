package admin

import (
	"log/slog"
	"net/http"

	"github.com/fleetline/fleetline/api"
)

const backupPath = "/v1/backup"

func (a *Admin) backupRoutes(d *document) {
	a.plain(d, route{
		id: "backup", method: http.MethodGet, path: backupPath,
		summary: "A backup of everything that is kept here, secrets included, for `fleetline restore`.",
	}, api.BackupType, http.HandlerFunc(a.backup))
}

// backup streams while everything goes on. An answer that breaks off is not whole, and looks so: it
// lacks the end of its transfer, and the backup its last entry.
func (a *Admin) backup(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", api.BackupType)
	c := callOf(r.Context())
	if err := a.cfg.Backup(r.Context(), timedWriter{w, http.NewResponseController(w)}); err != nil {
		a.log.LogAttrs(r.Context(), slog.LevelWarn, "admin call refused", append(c.attrs("backup"), slog.String("cause", err.Error()))...)
		if c.status != 0 {
			panic(http.ErrAbortHandler)
		}
		writeProblem(w, problemOf(err))
		return
	}
	a.log.LogAttrs(r.Context(), slog.LevelInfo, "admin call done", c.attrs("backup")...)
}
