package admin

import (
	"embed"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/fleetline/fleetline/api"
)

//go:embed dashboard
var dashboardFiles embed.FS

const (
	dashboardPath = "/dashboard/"
	loginPath     = "/login"
	logoutPath    = "/logout"
	// pageRules let the page load what comes from this door and nothing else, and nobody frame it.
	pageRules = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)

// mediaTypes are those of the dashboard's files. A table, because what the system's own says differs.
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// dashboardRoutes serve the page and let a browser in. The page does nothing that the API cannot do.
func (a *Admin) dashboardRoutes() {
	a.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { a.serveFile(w, "index.html") })
	a.mux.HandleFunc("GET "+dashboardPath+"{file}", func(w http.ResponseWriter, r *http.Request) { a.serveFile(w, r.PathValue("file")) })
	a.mux.HandleFunc("POST "+loginPath, a.login)
	a.mux.HandleFunc("POST "+logoutPath, a.logout)
}

// isOfThePage tells the paths that a browser needs before it has signed in.
func isOfThePage(p string) bool {
	return p == "/" || p == loginPath || p == logoutPath || strings.HasPrefix(p, dashboardPath)
}

func (a *Admin) serveFile(w http.ResponseWriter, name string) {
	content, err := fs.ReadFile(dashboardFiles, path.Join("dashboard", name))
	if err != nil {
		writeProblem(w, api.NewError(api.CodeNotFound, "there is nothing at this path"))
		return
	}
	h := w.Header()
	h.Set("Content-Type", mediaTypes[path.Ext(name)])
	h.Set("Content-Security-Policy", pageRules)
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write(content)
}

// login gives a browser a cookie for a token, which then need not be kept there.
func (a *Admin) login(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSmallBody))
	if err != nil {
		writeProblem(w, api.NewError(api.CodeBodyTooLarge, "the body is too large"))
		return
	}
	o := readBody(text)
	secret := o.plain("token", longestToken)
	if err := o.end(); err != nil {
		writeProblem(w, problemOf(err))
		return
	}
	who, refused := a.callerOf(r, secret, secret != "")
	if refused != nil {
		writeProblem(w, refused)
		return
	}
	a.log.Info("a browser signed in", "token", who.id, "remote", r.RemoteAddr)
	http.SetCookie(w, a.visits.begin(secret, isSecure(r)))
	w.WriteHeader(http.StatusNoContent)
}

func (a *Admin) logout(w http.ResponseWriter, r *http.Request) {
	a.visits.end(r)
	gone := cookie("", isSecure(r))
	gone.MaxAge = -1
	http.SetCookie(w, gone)
	w.WriteHeader(http.StatusNoContent)
}

// isSecure tells whether the browser speaks TLS, to this door or to a proxy before it.
func isSecure(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}
