package admin

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/fleetline/fleetline/api"
)

const profilesPath = "/debug/pprof/"

// scopes is the one table of what each operation needs. It is never written to. An operation that it
// does not name needs admin.
var scopes = map[string]api.Scope{
	"list-accounts":  api.ScopeRead,
	"list-machines":  api.ScopeRead,
	"get-machine":    api.ScopeRead,
	"why":            api.ScopeRead,
	"history":        api.ScopeRead,
	"frames":         api.ScopeRead,
	"stats":          api.ScopeRead,
	"list-deletions": api.ScopeRead,
	"metrics":        api.ScopeRead,
	"events":         api.ScopeRead,
	"publish":        api.ScopePublish,

	"add-account":       api.ScopeAdmin,
	"delete-account":    api.ScopeAdmin,
	"rotate-key":        api.ScopeAdmin,
	"delete-machine":    api.ScopeAdmin,
	"readmit-machine":   api.ScopeAdmin,
	"confirm-deletions": api.ScopeAdmin,
	"add-token":         api.ScopeAdmin,
	"list-tokens":       api.ScopeAdmin,
	"delete-token":      api.ScopeAdmin,
	"backup":            api.ScopeAdmin,
	"profiles":          api.ScopeAdmin,
	"profile":           api.ScopeAdmin,
}

func scopeOf(operation string) api.Scope {
	if s, ok := scopes[operation]; ok {
		return s
	}
	return api.ScopeAdmin
}

// operationRoutes are for those who run the gateway.
func (a *Admin) operationRoutes(d *document) {
	a.plain(d, route{id: "health", method: http.MethodGet, path: "/healthz", summary: "Whether the process answers."},
		"application/json", http.HandlerFunc(a.health))
	a.plain(d, route{id: "readiness", method: http.MethodGet, path: "/readyz", summary: "Whether the gateway should be given work."},
		"application/json", http.HandlerFunc(a.readiness))
	a.plain(d, route{id: "metrics", method: http.MethodGet, path: "/metrics", summary: "Metrics for Prometheus."},
		"text/plain", a.cfg.Metrics)
	a.plain(d, route{id: "openapi", method: http.MethodGet, path: "/openapi.json", summary: "This document."},
		"application/openapi+json", http.HandlerFunc(a.document))
	a.plain(d, route{id: "profiles", method: http.MethodGet, path: profilesPath, summary: "The list of profiles, for `go tool pprof`."},
		"text/html", http.HandlerFunc(a.profile))
	a.plain(d, route{id: "profile", method: http.MethodGet, path: profilesPath + "{profile}", summary: "One profile."},
		"application/octet-stream", http.HandlerFunc(a.profile))
}

func (a *Admin) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, `{"status":"ok"}`)
}

func (a *Admin) readiness(w http.ResponseWriter, _ *http.Request) {
	reasons := a.cfg.Ready()
	if a.draining.Err() != nil {
		reasons = append([]string{"the gateway is stopping"}, reasons...)
	}
	if len(reasons) == 0 {
		ready, _ := json.Marshal(api.Readiness{Status: "ready", Directory: a.cfg.Directory()}) // strings only
		writeJSON(w, string(ready))
		return
	}
	e := api.NewError(api.CodeNotReady, "the gateway is not ready: "+strings.Join(reasons, "; "))
	e.Reasons = reasons
	writeProblem(w, e)
}

func (a *Admin) document(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/openapi+json")
	w.Write(a.openAPI)
}

// profile serves everything that net/http/pprof has but the command line, which may hold secrets.
func (a *Admin) profile(w http.ResponseWriter, r *http.Request) {
	switch r.PathValue("profile") {
	case "cmdline":
		writeProblem(w, api.NewError(api.CodeNotFound, "this profile is not served"))
	case "profile":
		pprof.Profile(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	case "trace":
		pprof.Trace(w, r)
	case "heap":
		if gc, _ := strconv.Atoi(r.FormValue("gc")); gc > 0 {
			// What the collection frees goes back to the system, so that the process's size tells what
			// it needs.
			debug.FreeOSMemory()
		}
		pprof.Index(w, r)
	default:
		pprof.Index(w, r)
	}
}

func writeJSON(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.Write([]byte(body))
}
