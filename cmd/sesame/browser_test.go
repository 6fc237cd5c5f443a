package main

import (
	"context"
	"errors"
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
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const (
	// axe looks for what keeps people of all abilities from using a page. .ci/setup fetches it.
	axe = "../../.tools/axe-core-4.14.1.js"
	// screenshots are kept there, for people to look at.
	screenshots = "../../artifacts/pages"
)

// viewport is what a tab looks like.
type viewport struct {
	name          string
	width, height int64
	phone, dark   bool
}

var (
	desktop = viewport{name: "desktop", width: 1280, height: 800}
	phone   = viewport{name: "phone", width: 320, height: 640, phone: true, dark: true}
)

// browser is a running Chromium. Each of its tabs is a visitor of its own.
type browser struct{ ctx context.Context }

// newBrowser runs Chromium until the test ends.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)),
		chromedp.NoSandbox, // it cannot be had as root, and sees pages of this machine only
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"), // nothing reaches another host
		chromedp.Flag("disable-features", "Translate,BackForwardCache"),            // a page that was left is gone
		chromedp.WSURLReadTimeout(time.Minute),
	)
	allocator, release := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		cancel()
		release()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	return &browser{ctx}
}

func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("Chromium is missing: .ci/setup installs it")
	return ""
}

// tab is a visitor of the server's pages. At its end, whatever went wrong in it unseen fails the test.
type tab struct {
	t   *testing.T
	ctx context.Context
	p   *process
	viewport

	mu     sync.Mutex
	faults []string
}

func (b *browser) open(t *testing.T, p *process, s viewport) *tab {
	t.Helper()
	bounded, release := context.WithTimeout(b.ctx, time.Minute)
	ctx, cancel := chromedp.NewContext(bounded, chromedp.WithNewBrowserContext())
	v := &tab{t: t, ctx: ctx, p: p, viewport: s}
	if err := chromedp.Listen(ctx, v.watch); err != nil {
		t.Fatalf("no tab: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			v.keep("failed-" + strings.ReplaceAll(t.Name(), "/", "-"))
		}
		cancel()
		release()
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, fault := range v.faults {
			t.Error(fault)
		}
	})
	scheme := "light"
	if s.dark {
		scheme = "dark"
	}
	look := func(device *emulation.SetDeviceMetricsOverrideParams, touch *emulation.SetTouchEmulationEnabledParams) {
		device.Mobile, touch.Enabled = s.phone, s.phone
	}
	v.does(chromedp.EmulateViewport(s.width, s.height, look))
	command(v, log.Enable, cdp.Empty{})
	command(v, network.Enable, network.EnableParams{})
	command(v, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	return v
}

// watch notes what no visitor sees and nobody wants: errors in the console, violations of the policy among them, and
// requests to another host. That a fetch was refused is in the console too; the page tells of it itself.
func (v *tab) watch(event any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch event := event.(type) {
	case *log.EventEntryAdded:
		ours, err := url.Parse(event.Entry.URL)
		if refused := err == nil && (strings.HasPrefix(ours.Path, "/auth") || ours.Path == "/problems/nothing"); event.Entry.Level == log.EntryLevelError && !refused {
			v.faults = append(v.faults, fmt.Sprintf("in the console: %s %s %s", event.Entry.Source, event.Entry.Text, event.Entry.URL))
		}
	case *runtime.EventExceptionThrown:
		v.faults = append(v.faults, "an exception: "+event.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if event.Type == runtime.ConsoleAPICalledTypeError || event.Type == runtime.ConsoleAPICalledTypeWarning {
			v.faults = append(v.faults, fmt.Sprintf("in the console: %s", event.Args[0].Value))
		}
	case *network.EventRequestWillBeSent:
		asked, err := url.Parse(event.Request.URL)
		if err != nil || asked.Host != v.p.api && asked.Host != v.p.admin && asked.Scheme != "data" && asked.Scheme != "blob" && asked.Scheme != "about" {
			v.faults = append(v.faults, "a request to another host: "+event.Request.URL)
		}
	}
}

func (v *tab) does(actions ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	if err := chromedp.Do(v.ctx, actions...); err != nil {
		v.t.Fatalf("in the browser: %v\n%s", err, v.text())
	}
}

// command is one of the Chrome DevTools Protocol.
func command[P, R any](v *tab, cmd cdp.Command[P, R], params P) {
	v.t.Helper()
	if _, err := chromedp.Call(v.ctx, cmd, params); err != nil {
		v.t.Fatalf("%s: %v", cmd.Method, err)
	}
}

// value is that of an expression in the page.
func value[T any](v *tab, expression string, options ...chromedp.EvaluateOption) T {
	v.t.Helper()
	result, err := chromedp.Run(v.ctx, chromedp.Evaluate[T](expression, options...))
	if err != nil {
		v.t.Fatalf("%s: %v\n%s", expression, err, v.text())
	}
	return result
}

// waits until the page has loaded, or the one that comes after it, and an expression is true there.
func (v *tab) waits(expression string) {
	v.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(15 * time.Second); ; <-tick.C {
		is, err := chromedp.Run(v.ctx, chromedp.Evaluate[bool](`document.readyState === "complete" && !!(`+expression+")"))
		if is && err == nil {
			return
		}
		if time.Now().After(deadline) {
			v.t.Fatalf("this does not become true: %s (%v)\n%s", expression, err, v.text())
		}
	}
}

// goTo opens a page of the server.
func (v *tab) goTo(path string) {
	v.t.Helper()
	host := v.p.api
	if strings.HasPrefix(path, "/dev/mail") {
		host = v.p.admin
	}
	v.does(chromedp.Navigate("http://" + host + path))
}

// text is what the page says.
func (v *tab) text() string {
	text, err := chromedp.Run(v.ctx, chromedp.Evaluate[string](`document.body?.innerText ?? ""`))
	if err != nil {
		return err.Error()
	}
	return text
}

// sees waits until the page says something.
func (v *tab) sees(words string) {
	v.t.Helper()
	v.waits(fmt.Sprintf(`document.body?.innerText.replace(/\s+/g, " ").includes(%q)`, words))
}

// holds asserts that an expression is true in the page.
func (v *tab) holds(expression string) {
	v.t.Helper()
	if !value[bool](v, expression) {
		v.t.Errorf("in the page this is false: %s\n%s", expression, v.text())
	}
}

// fill types into a field, in place of what is there.
func (v *tab) fill(selector, text string) {
	v.t.Helper()
	v.waits(fmt.Sprintf("document.querySelector(%q)", selector))
	v.does(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("document.querySelector(%q).select()", selector)), chromedp.KeyEvent(text))
}

// click clicks on the first visible element of a selector with a text.
func (v *tab) click(selector, text string) {
	v.t.Helper()
	const find = `(() => {
		for (const old of document.querySelectorAll("[data-click]")) old.removeAttribute("data-click");
		const found = [...document.querySelectorAll(%q)].find((e) => e.offsetParent && e.innerText.includes(%q));
		found?.setAttribute("data-click", "");
		return !!found;
	})()`
	v.waits(fmt.Sprintf(find, selector, text))
	v.does(chromedp.Click(chromedp.CSS("[data-click]")))
}

// press presses keys, one after the other.
func (v *tab) press(keys ...string) {
	v.t.Helper()
	for _, key := range keys {
		v.does(chromedp.KeyEvent(key))
	}
}

// tabTo moves the focus with the keyboard, from where it is to an element.
func (v *tab) tabTo(selector string) {
	v.t.Helper()
	for range 20 {
		v.does(chromedp.KeyEvent(kb.Tab))
		if value[bool](v, fmt.Sprintf("document.activeElement.matches(%q)", selector)) {
			return
		}
	}
	v.t.Fatalf("%s cannot be reached by the keyboard", selector)
}

// looksRight keeps a picture of the page and asserts what a program can tell of it: that axe finds nothing, and that
// it need not be moved sideways.
func (v *tab) looksRight(name string) {
	v.t.Helper()
	v.keep(name + "-" + v.name)
	source, err := os.ReadFile(axe)
	if err != nil {
		v.t.Fatalf("%v: .ci/setup fetches it", err)
	}
	const run = `axe.run(document, { iframes: false, resultTypes: ["violations"] }).then(({ violations }) =>
		violations.flatMap((v) => v.nodes.map((n) => v.id + ": " + n.target + " " + n.failureSummary + " " + n.html)).join("\n"))`
	v.does(chromedp.Evaluate[chromedp.Void](string(source) + ";0"))
	if violations := value[string](v, run, chromedp.EvalAwaitPromise); violations != "" {
		v.t.Errorf("%s, %s: axe finds\n%s", name, v.name, violations)
	}
	v.holds(fmt.Sprintf("document.documentElement.scrollWidth <= %d", v.width))
}

func (v *tab) keep(name string) {
	picture, err := chromedp.Run(v.ctx, chromedp.FullScreenshot(100))
	for tries := 0; err != nil && tries < 20; tries++ { // where a page was just left, Chromium may ask that one
		time.Sleep(50 * time.Millisecond)
		picture, err = chromedp.Run(v.ctx, chromedp.FullScreenshot(100))
	}
	err = errors.Join(err, os.MkdirAll(screenshots, 0o755), os.WriteFile(filepath.Join(screenshots, name+".png"), picture, 0o644))
	if err != nil {
		v.t.Errorf("picture of %s: %v", name, err)
	}
}
