// Package dashboard_test looks at the dashboard as an operator does, in a real browser, with a fleet
// behind it.
package dashboard_test

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"go.uber.org/goleak"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/fleetlinetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const machines = 2000

// TestAnOperatorLooksAfterAFleetInABrowser goes through every page with one fleet: enrolling it takes
// longer than looking at it.
func TestAnOperatorLooksAfterAFleetInABrowser(t *testing.T) {
	g := fleetlinetest.Start(t)
	f := enrol(t, g, machines)
	token := string(g.Server().AdminToken())
	b := openBrowser(t, g.AdminURL, "en-US", "light", 1200, 820)

	t.Run("a wrong token does not come in", func(t *testing.T) {
		b.t = t
		b.run(chromedp.Navigate(g.AdminURL+"/"), chromedp.WaitVisible(`input[type=password]`),
			chromedp.SendKeys(`input[type=password]`, "wrong"+kb.Enter))
		b.shows(".note.bad", "no valid token")
		b.picture("login")
	})
	t.Run("the overview counts the fleet and tells what happens", func(t *testing.T) {
		b.t = t
		b.signIn(token)
		b.shows(".tile .number", "2,000")
		b.shows(".tile", "live")
		_ = f.links[7].CloseNow()
		b.shows(".log", f.ids[7])
		b.shows(".log", "disconnected")
		b.shows(".tile .number", "1,999")
		b.publish(g, api.Target{All: true}, `{"job":"restart"}`)
		b.goOn(g)
		b.picture("overview")
	})
	t.Run("the list is searched and changes by itself", func(t *testing.T) {
		b.t = t
		b.open("/machines")
		b.shows("tbody tr", "box-")
		b.picture("machines")
		b.run(chromedp.SendKeys(`input[type=search]`, "box-0042"))
		b.run(until(`document.querySelectorAll('tbody tr').length === 1`))
		b.run(chromedp.WaitReady(`tr[data-machine="` + f.ids[42] + `"] .dot.on`))
		_ = f.links[42].CloseNow()
		b.run(chromedp.WaitReady(`tr[data-machine="` + f.ids[42] + `"] .dot:not(.on)`))
	})
	t.Run("a machine's page shows its frames, sends data and says why it was gone", func(t *testing.T) {
		b.t = t
		b.open(machinePath(f.ids[42]))
		b.shows("section", "1006")
		b.open(machinePath(f.ids[43]))
		b.shows("h1", "box-0043")
		b.shows("dl.facts", "127.0.0.1")
		b.publishUntilSeen(g, f.ids[43], `{"job":"from the backend"}`, "from the backend")
		b.run(chromedp.SetValue(`#send textarea`, `{"job": oops}`), chromedp.Click(`#send button`))
		b.shows("#send", "This is not JSON")
		b.run(chromedp.SetValue(`#send textarea`, `{"job":"from the page"}`), chromedp.Click(`#send button`))
		b.shows("#send", "Sent; position")
		b.shows("#frames", "from the page")
		if got := f.hears(t, 43); !strings.Contains(got, `{"job":"from the page"}`) {
			t.Errorf("the machine heard %s", got)
		}
		b.picture("machine")
	})
	t.Run("a machine is deleted when its name is typed", func(t *testing.T) {
		b.t = t
		b.run(chromedp.SendKeys(`#remove input`, "box-004"))
		if !ask[bool](b, `document.querySelector('#remove button').disabled`) {
			t.Error("half a name is enough")
		}
		b.run(chromedp.SendKeys(`#remove input`, "3"), chromedp.Click(`#remove button`))
		b.shows(".note", "has been deleted")
		if got := f.hears(t, 43); !strings.Contains(got, "machine_deleted") {
			t.Errorf("the machine heard %s", got)
		}
	})
	t.Run("accounts are made, their keys changed, and they are deleted", func(t *testing.T) {
		b.t = t
		b.open("/accounts")
		b.run(chromedp.SendKeys(`#add input`, "field <b>office</b>"), chromedp.Click(`#add button`))
		b.shows("#key", "flk_")
		b.shows("tbody", "field <b>office</b>") // as text
		b.picture("accounts")
		b.run(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll('tbody tr')].find((r) => r.innerText.includes('field')).querySelector('button.danger').click()`),
			chromedp.SendKeys(`.danger-zone input`, "field <b>office</b>"), chromedp.Click(`.danger-zone button.danger`))
		b.run(until(`!document.querySelector('tbody').innerText.includes('field')`))
	})
	t.Run("a token that only reads cannot change anything", func(t *testing.T) {
		b.t = t
		made, err := g.API.AddToken(t.Context(), api.NewToken{Name: "looker", Scopes: []api.Scope{api.ScopeRead}})
		if err != nil {
			t.Fatal(err)
		}
		b.run(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll('header button')].at(-1).click()`), chromedp.WaitVisible(`input[type=password]`))
		b.signIn(string(made.Secret))
		b.open(machinePath(f.ids[44]))
		b.run(chromedp.WaitVisible(`#remove input`), chromedp.SendKeys(`#remove input`, "box-0044"), chromedp.Click(`#remove button`))
		b.shows("#remove .note.bad", "scope")
		if err := g.API.DeleteToken(t.Context(), made.ID); err != nil {
			t.Fatal(err)
		}
		b.run(chromedp.WaitVisible(`input[type=password]`)) // the visit ends with the token
	})
	b.t = t
	b.expectClean()

	t.Run("in Chinese, in the dark, on a phone", func(t *testing.T) {
		b := openBrowser(t, g.AdminURL, "zh-CN", "dark", 390, 844)
		b.signIn(token)
		b.shows("nav", "机器")
		b.shows(".tile .number", "1,99")
		b.fits()
		b.picture("phone-overview")
		b.open("/machines")
		b.shows("tbody tr", "box-")
		b.fits()
		b.picture("phone-machines")
		b.open(machinePath(f.ids[45]))
		b.shows("h1", "box-0045")
		b.fits()
		b.picture("phone-machine")
		b.open("/accounts")
		b.shows("tbody", "workshop")
		b.fits()
		b.expectClean()
	})
	if dark := "dark"; !t.Failed() {
		b := openBrowser(t, g.AdminURL, "en-US", dark, 1200, 820)
		b.signIn(token)
		b.shows(".tile .number", "1,99")
		b.picture("overview-dark")
	}
}

// goOn has a few minutes of traffic behind a picture, if pictures are wanted.
func (b *browser) goOn(g *fleetlinetest.Gateway) {
	if os.Getenv(picturesVariable) == "" {
		return
	}
	for i := range 150 {
		b.publish(g, api.Target{All: true}, `{"job":"report"}`)
		b.run(chromedp.Sleep(time.Duration(500+i%7*100) * time.Millisecond))
	}
}

func (b *browser) publish(g *fleetlinetest.Gateway, to api.Target, data string) {
	b.t.Helper()
	if _, err := g.API.Publish(context.Background(), api.Message{To: to, Data: json.RawMessage(data)}); err != nil {
		b.t.Fatal(err)
	}
}

// publishUntilSeen publishes until the page shows it: frames are those from when the page looked on.
func (b *browser) publishUntilSeen(g *fleetlinetest.Gateway, machine, data, text string) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for seen := false; !seen; {
		if time.Now().After(deadline) {
			b.t.Fatal("the page does not show the frame")
		}
		b.publish(g, api.Target{Machine: machine}, data)
		b.run(chromedp.Sleep(100 * time.Millisecond))
		seen = ask[bool](b, `document.querySelector('#frames').innerText.includes(`+quote(text)+`)`)
	}
}

// hears is what a machine heard last, once it is no ping.
func (f *fleet) hears(t *testing.T, i int) string {
	t.Helper()
	select {
	case text := <-f.last[i]:
		return text
	case <-time.After(patience):
		t.Fatalf("machine %d hears nothing", i)
		return ""
	}
}
