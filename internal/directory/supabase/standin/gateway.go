package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// The gateway is what stands before PostgREST and Realtime: it reads the API key from the header or
// else from the query, refuses in words of its own, and tells those behind it whom to serve as.

// maxURL is the longest request line that the gateway takes.
const maxURL = 8 << 10

// call is a request that the gateway let through.
type call struct {
	*http.Request
	query url.Values // as the gateway left it
	role  string     // of the key
	// bearer is the JWT to serve under instead; with sb_ keys mostly none.
	bearer string
}

// ServeHTTP is the gateway.
func (p *Project) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	service := p.enter()
	if service == nil {
		panic(http.ErrAbortHandler)
	}
	defer service.handlers.Done()
	p.count(r)
	if len(r.RequestURI) > maxURL {
		page(w, http.StatusRequestURITooLong, "414 Request-URI Too Large")
		return
	}
	faults := p.Faults()
	isREST := strings.HasPrefix(r.URL.Path, "/rest/v1/")
	if isREST {
		var answered bool
		if w, answered = p.spoil(w, r, faults); answered {
			return
		}
	}
	c, ok := p.admit(w, r, !faults.ApikeyKept)
	switch {
	case !ok:
	case isREST:
		p.postgrest.serve(w, c)
	case r.URL.Path == "/realtime/v1/websocket":
		p.realtime.serve(w, c)
	default:
		refuse(w, http.StatusNotFound, "no Route matched with those values", "")
	}
}

// admit finds the key and removes it from what goes on, as key-auth's hide_credentials does: the query
// parameter named apikey disappears whether it was the key or a filter.
func (p *Project) admit(w http.ResponseWriter, r *http.Request, hide bool) (call, bool) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		refuse(w, http.StatusBadRequest, "Invalid query string", "")
		return call{}, false
	}
	key := r.Header.Get("apikey")
	if key == "" && len(query["apikey"]) == 1 {
		key = query.Get("apikey")
	}
	if hide {
		query.Del("apikey")
	}
	if key == "" {
		refuse(w, http.StatusUnauthorized, "No API key found in request", "No `apikey` request header or url param was found.")
		return call{}, false
	}
	keys := p.Keys()
	role := keys.role(key)
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if role == "" || isNewKind(bearer) && bearer != key {
		refuse(w, http.StatusUnauthorized, "Invalid API key", "Double check your Supabase `anon` or `service_role` API key.")
		return call{}, false
	}
	if key == keys.Secret && isBrowser(r.UserAgent()) {
		refuse(w, http.StatusUnauthorized, "Forbidden use of secret API key in browser",
			"Secret API keys can only be used in a protected environment and should never be used in a browser. Delete this secret API key immediately.")
		return call{}, false
	}
	if isNewKind(bearer) {
		bearer = ""
	}
	if bearer == "" && !isNewKind(key) && r.URL.Path != "/realtime/v1/websocket" {
		role = Anon // a legacy key opens the gateway; only as a bearer it is a role
	}
	return call{Request: r, query: query, role: role, bearer: bearer}, true
}

func isBrowser(agent string) bool { return strings.HasPrefix(agent, "Mozilla/") }

// refuse answers in the gateway's shape, which is not PostgREST's.
func refuse(w http.ResponseWriter, status int, message, hint string) {
	body := map[string]string{"message": message}
	if hint != "" {
		body["hint"] = hint
	}
	writeJSON(w, status, body)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // what the stand-in writes has a JSON form
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// page answers as proxies do.
func page(w http.ResponseWriter, status int, title string) {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<!DOCTYPE html>\n<html><head><title>%s</title></head>\n<body><h1>%[1]s</h1></body></html>\n", title)
}
