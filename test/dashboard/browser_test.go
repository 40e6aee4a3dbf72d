package dashboard_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const (
	patience = 60 * time.Second
	// picturesVariable names a folder that pictures of the pages are written to.
	picturesVariable = "FLEETLINE_TEST_PICTURES"
)

// browser is a real one, with one page. It notes what the page asks for and complains of.
type browser struct {
	t      *testing.T
	ctx    context.Context
	server string

	mu sync.Mutex
	// Guarded by mu.
	foreign, complaints []string
}

// openBrowser starts a browser that speaks a language and likes a colour scheme.
func openBrowser(t *testing.T, server, language, scheme string, width, height int64) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(find(t)), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-gpu", true), chromedp.Flag("lang", language))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closePage := chromedp.NewContext(ctx)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx); closePage() })
	b := &browser{t: t, ctx: ctx, server: server}
	if err := chromedp.Listen(ctx, b.note); err != nil {
		t.Fatalf("starting the browser: %v", err)
	}
	command(b, network.Enable, network.EnableParams{})
	command(b, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{
		UserAgent: ask[string](b, `navigator.userAgent`), AcceptLanguage: language,
	})
	command(b, emulation.SetLocaleOverride, emulation.SetLocaleOverrideParams{Locale: language})
	command(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600,
	})
	command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	return b
}

func command[P, R any](b *browser, c cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, c, params); err != nil {
		b.t.Fatal(err)
	}
}

func find(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("there is no Chromium: make setup installs it")
	return ""
}

func (b *browser) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, b.server) && !strings.HasPrefix(e.Request.URL, "data:") {
			b.foreign = append(b.foreign, e.Request.URL)
		}
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, fmt.Sprintf("%s: %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		for _, arg := range e.Args {
			b.complaints = append(b.complaints, string(arg.Value))
		}
	}
}

// expectClean holds that the page asked nobody but the gateway and complained of nothing.
func (b *browser) expectClean() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.foreign) > 0 {
		b.t.Errorf("the page asked elsewhere: %q", b.foreign)
	}
	if len(b.complaints) > 0 {
		b.t.Errorf("the page complained: %q", b.complaints)
	}
}

// run does what a person would, with a person's patience.
func (b *browser) run(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.picture("failed")
		b.t.Fatalf("%v; the page shows:\n%s", err, ask[string](b, `document.body.innerText.slice(0, 2000)`))
	}
}

// ask has the page work something out.
func ask[T any](b *browser, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// shows waits until some element that a selector names contains a text.
func (b *browser) shows(selector, text string) {
	b.t.Helper()
	b.run(until(`[...document.querySelectorAll(` + quote(selector) + `)].some((e) => e.innerText.includes(` + quote(text) + `))`))
}

func until(condition string) chromedp.Action[chromedp.Void] {
	return chromedp.Poll[chromedp.Void](condition, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(patience))
}

func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`).Replace(s) + "'"
}

// fits holds that nothing is wider than the window.
func (b *browser) fits() {
	b.t.Helper()
	if ask[bool](b, `document.documentElement.scrollWidth > innerWidth`) {
		b.t.Error("the page is wider than its window")
	}
}

// picture keeps what the page looks like, if somebody wants to see it.
func (b *browser) picture(name string) {
	dir := os.Getenv(picturesVariable)
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	shot, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Logf("taking a picture: %v", err)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), shot, 0o644); err != nil {
		b.t.Error(err)
	}
}

// signIn opens the page and comes in.
func (b *browser) signIn(token string) {
	b.t.Helper()
	b.run(chromedp.Navigate(b.server+"/"), chromedp.WaitVisible(`input[type=password]`),
		chromedp.SendKeys(`input[type=password]`, token), chromedp.Click(`button.main`), chromedp.WaitVisible(`header.top`))
}

func (b *browser) open(path string) {
	b.t.Helper()
	b.run(chromedp.Evaluate[chromedp.Void](`location.hash = ` + quote("#"+path)))
}

func machinePath(id string) string { return "/machines/" + url.PathEscape(id) }
