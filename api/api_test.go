package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/fleetline/fleetline/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryCodeHasAStatusAndAHint(t *testing.T) {
	for _, c := range api.Codes() {
		if http.StatusText(c.Status()) == "" || c.Status() < 400 {
			t.Errorf("%s: status %d is not a refusal", c, c.Status())
		}
		if c.Hint() == "" {
			t.Errorf("%s has no hint", c)
		}
	}
	if got := api.Code("from_a_later_version").Status(); got != http.StatusInternalServerError {
		t.Errorf("an unknown code has status %d, want 500", got)
	}
}

func TestErrorsAreComparedByCode(t *testing.T) {
	err := fmt.Errorf("publishing: %w", api.NewError(api.CodeStoreFull, "the log is full"))
	if !errors.Is(err, api.CodeStoreFull) || errors.Is(err, api.CodeInternal) {
		t.Errorf("%v is not told by its code", err)
	}
	var e *api.Error
	if !errors.As(err, &e) || e.Status != http.StatusInsufficientStorage || e.Hint == "" {
		t.Errorf("%v carries no status and hint", err)
	}
	for _, part := range []string{"the log is full", "store_full", e.Hint} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

const secret = "very-secret-token"

func TestNothingPrintsAKeyOrAToken(t *testing.T) {
	c, err := api.NewClient("http://127.0.0.1:1", secret)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	key := api.AccountKey{ID: "acc_1", APIKey: secret}
	var out bytes.Buffer
	for _, v := range []any{c, *c, key, &key, key.APIKey} {
		fmt.Fprintf(&out, "%v %+v %#v %s %q\n", v, v, v, v, v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("a line", "value", v)
	}
	_, err = c.Accounts(t.Context())
	fmt.Fprintf(&out, "%v %+v", err, err)
	if strings.Contains(out.String(), secret) {
		t.Errorf("the secret is printed:\n%s", out.String())
	}
	if b, _ := json.Marshal(key); !strings.Contains(string(b), secret) {
		t.Errorf("JSON does not carry the key: %s", b)
	}
}

func TestAnAddressThatCannotBeCalledIsRefusedWithoutBeingRepeated(t *testing.T) {
	for _, addr := range []string{"", "127.0.0.1:5001", "ftp://host", "http://", "http://user:pw1234@host", "http://h?token=pw1234", "http://h/#pw1234", "http://h:pw1234"} {
		_, err := api.NewClient(addr, "t")
		if err == nil || strings.Contains(err.Error(), "pw1234") {
			t.Errorf("%s: got %v", addr, err)
		}
	}
}

// answering is a client of something that answers every call alike.
func answering(t *testing.T, h http.HandlerFunc) *api.Client {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength < 0 {
			w.Header().Set("Connection", "close") // answers before it has read the body
		}
		h(w, r)
	}))
	c, err := api.NewClient(srv.URL+"/", secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); srv.Close() })
	return c
}

func TestAnAnswerThatIsNotAGatewaysIsAnErrorOfItsOwn(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a proxy's page": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			w.Write([]byte("<html>"))
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) },
		"a login page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Write([]byte("<html>"))
		},
		"a problem without a code": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", api.ProblemType)
			w.WriteHeader(http.StatusNotFound)
			w.Write([]byte(`{"title":"x"}`))
		},
	} {
		c := answering(t, h)
		if _, err := c.Machine(t.Context(), "m"); !errors.Is(err, api.CodeUnexpectedAnswer) {
			t.Errorf("%s: got %v", name, err)
		}
		if s, err := c.OpenStream(t.Context()); !errors.Is(err, api.CodeUnexpectedAnswer) {
			t.Errorf("%s: opening a stream: got %v, %v", name, s, err)
		}
	}
}

func TestIdsAreOnePartOfThePathWhateverTheyHold(t *testing.T) {
	var got string
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.URL.EscapedPath() + " " + r.URL.RawQuery
		w.WriteHeader(http.StatusNoContent)
	})
	if err := c.DeleteMachine(t.Context(), "a/b?c#d e"); err != nil {
		t.Fatal(err)
	}
	if want := "/v1/machines/a%2Fb%3Fc%23d%20e "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMachinesAreReadPageAfterPageUntilAnErrorOrTheEnd(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch q := r.URL.Query(); q.Get("cursor") {
		case "":
			w.Write([]byte(`{"machines":[{"id":"1"},{"id":"2"}],"next":"2"}`))
		case "2":
			w.Write([]byte(`{"machines":[],"next":"3"}`))
		case "3":
			if q.Get("online") == "true" && q.Get("account") == "acc" && q.Get("limit") == "2" {
				w.Write([]byte(`{"machines":[{"id":"4"}]}`))
				return
			}
			w.Header().Set("Content-Type", api.ProblemType)
			w.WriteHeader(http.StatusServiceUnavailable)
			w.Write([]byte(`{"code":"directory_unavailable","detail":"away"}`))
		}
	})
	read := func(q api.MachineQuery) (ids string, last error) {
		for m, err := range c.Machines(t.Context(), q) {
			ids, last = ids+m.ID, err
		}
		return ids, last
	}
	if ids, err := read(api.MachineQuery{Presence: api.Online, Account: "acc", Limit: 2}); ids != "124" || err != nil {
		t.Errorf("got %q and %v, want every machine", ids, err)
	}
	if ids, err := read(api.MachineQuery{}); ids != "12" || !errors.Is(err, api.CodeDirectoryUnavailable) {
		t.Errorf("got %q and %v, want two machines and the error", ids, err)
	}
}
