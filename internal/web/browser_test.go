package web_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

	"github.com/sesame-auth/sesame/internal/processtest"
)

const (
	// axe finds accessibility problems. .ci/setup downloads it.
	axe = "../../.tools/axe-core-4.14.1.js"
	// screenshots is where the tests save what they saw, for people to look at.
	screenshots = "../../artifacts/pages"
)

func TestMain(m *testing.M) {
	status := processtest.Run(m)
	stopBrowser()
	os.Exit(status)
}

// A viewport is the screen of a tab.
type viewport struct {
	name          string
	width, height int64
	phone, dark   bool
}

var (
	desktop = viewport{name: "desktop", width: 1280, height: 800}
	phone   = viewport{name: "phone", width: 320, height: 640, phone: true, dark: true}
	dark    = viewport{name: "dark", width: 1280, height: 800, dark: true}
)

// screens returns the screens of a test; with -short, only the first.
func screens(all ...viewport) []viewport {
	if testing.Short() {
		return all[:1]
	}
	return all
}

// A browser is a running Chromium. Its tabs share no cookies.
type browser struct{ ctx context.Context }

// stopBrowser stops the Chromium of the tests, if it runs.
var stopBrowser = func() {}

// startBrowser runs Chromium, which takes seconds to start, until stopBrowser is called.
var startBrowser = sync.OnceValues(func() (*browser, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium()),
		chromedp.NoSandbox, // the sandbox does not work as root, and the pages are our own
		// No request leaves the machine.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"),
		chromedp.Flag("disable-features", "Translate,BackForwardCache"),
		chromedp.WSURLReadTimeout(time.Minute),
	)
	allocator, release := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	stopBrowser = func() {
		cancel()
		release()
	}
	return &browser{ctx}, chromedp.Do(ctx)
})

// sharedBrowser returns the Chromium that all tests share.
func sharedBrowser(t *testing.T) *browser {
	t.Helper()
	b, err := startBrowser()
	if err != nil {
		t.Fatalf("start Chromium, which .ci/setup installs: %v", err)
	}
	return b
}

func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return "chromium"
}

// A tab shows pages of a server. Errors in its console fail the test.
type tab struct {
	t      *testing.T
	ctx    context.Context
	server *processtest.Server
	app    string // the host of an application, or none
	viewport

	mu     sync.Mutex
	errors []string
}

func (b *browser) open(t *testing.T, server *processtest.Server, screen viewport) *tab {
	t.Helper()
	bounded, release := context.WithTimeout(b.ctx, time.Minute)
	ctx, cancel := chromedp.NewContext(bounded, chromedp.WithNewBrowserContext())
	v := &tab{t: t, ctx: ctx, server: server, viewport: screen}
	if err := chromedp.Listen(ctx, v.watch); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			v.screenshot("failed-" + strings.ReplaceAll(t.Name(), "/", "-"))
		}
		cancel()
		release()
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, message := range v.errors {
			t.Error(message)
		}
	})
	scheme := "light"
	if screen.dark {
		scheme = "dark"
	}
	mobile := func(metrics *emulation.SetDeviceMetricsOverrideParams, touch *emulation.SetTouchEmulationEnabledParams) {
		metrics.Mobile, touch.Enabled = screen.phone, screen.phone
	}
	v.run(chromedp.EmulateViewport(screen.width, screen.height, mobile))
	command(v, log.Enable, cdp.Empty{})
	command(v, network.Enable, network.EnableParams{})
	command(v, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	return v
}

// watch collects what a user would not notice: errors in the console, including violations of the
// content security policy, and requests to other hosts. The browser also reports 4xx responses of
// the API, which the pages show themselves.
func (v *tab) watch(event any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch event := event.(type) {
	case *log.EventEntryAdded:
		source, err := url.Parse(event.Entry.URL)
		expected := err == nil && (strings.HasPrefix(source.Path, "/auth") || source.Path == "/problems/nothing")
		if event.Entry.Level == log.EntryLevelError && !expected {
			v.errors = append(v.errors, fmt.Sprintf("console: %s %s %s", event.Entry.Source, event.Entry.Text, event.Entry.URL))
		}
	case *runtime.EventExceptionThrown:
		v.errors = append(v.errors, "exception: "+event.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if event.Type == runtime.ConsoleAPICalledTypeError || event.Type == runtime.ConsoleAPICalledTypeWarning {
			v.errors = append(v.errors, fmt.Sprintf("console: %s", event.Args[0].Value))
		}
	case *network.EventRequestWillBeSent:
		if !v.isOwn(event.Request.URL) {
			v.errors = append(v.errors, "request to another host: "+event.Request.URL)
		}
	}
}

// isOwn reports whether a URL is the server's or needs no request.
func (v *tab) isOwn(target string) bool {
	parsed, err := url.Parse(target)
	if err != nil {
		return false
	}
	switch parsed.Scheme {
	case "data", "blob", "about":
		return true
	}
	return parsed.Host == v.server.API || parsed.Host == v.server.Admin || parsed.Host == v.app
}

func (v *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	if err := chromedp.Do(v.ctx, actions...); err != nil {
		v.t.Fatalf("browser: %v\n%s", err, v.text())
	}
}

// command runs a command of the Chrome DevTools Protocol.
func command[P, R any](v *tab, cmd cdp.Command[P, R], params P) {
	v.t.Helper()
	if _, err := chromedp.Call(v.ctx, cmd, params); err != nil {
		v.t.Fatalf("%s: %v", cmd.Method, err)
	}
}

// value returns the value of a JavaScript expression in the page.
func value[T any](v *tab, expression string, options ...chromedp.EvaluateOption) T {
	v.t.Helper()
	result, err := chromedp.Run(v.ctx, chromedp.Evaluate[T](expression, options...))
	if err != nil {
		v.t.Fatalf("%s: %v\n%s", expression, err, v.text())
	}
	return result
}

// waitFor waits until a page is loaded in which an expression is true.
func (v *tab) waitFor(expression string) {
	v.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	loaded := `document.readyState === "complete" && !!(` + expression + ")"
	for deadline := time.Now().Add(15 * time.Second); ; <-tick.C {
		is, err := chromedp.Run(v.ctx, chromedp.Evaluate[bool](loaded))
		if is && err == nil {
			return
		}
		if time.Now().After(deadline) {
			v.t.Fatalf("not true within 15 seconds: %s (%v)\n%s", expression, err, v.text())
		}
	}
}

// goTo opens a page of the server.
func (v *tab) goTo(path string) {
	v.t.Helper()
	host := v.server.API
	if strings.HasPrefix(path, "/dev/mail") {
		host = v.server.Admin
	}
	v.run(chromedp.Navigate("http://" + host + path))
}

// text returns the visible text of the page.
func (v *tab) text() string {
	text, err := chromedp.Run(v.ctx, chromedp.Evaluate[string](`document.body?.innerText ?? ""`))
	if err != nil {
		return err.Error()
	}
	return text
}

// waitForText waits until the page shows a text.
func (v *tab) waitForText(text string) {
	v.t.Helper()
	v.waitFor(fmt.Sprintf(`document.body?.innerText.replace(/\s+/g, " ").includes(%q)`, text))
}

// check fails the test if an expression is false in the page.
func (v *tab) check(expression string) {
	v.t.Helper()
	if !value[bool](v, expression) {
		v.t.Errorf("false in the page: %s\n%s", expression, v.text())
	}
}

// fill waits for a field, types a text into it, and replaces what it contains.
func (v *tab) fill(selector, text string) {
	v.t.Helper()
	v.waitFor(fmt.Sprintf("document.querySelector(%q)?.offsetParent", selector))
	selectAll := chromedp.Evaluate[chromedp.Void](fmt.Sprintf("document.querySelector(%q).select()", selector))
	v.run(selectAll, chromedp.KeyEvent(text))
}

// click clicks the first visible element that matches a selector and contains a text.
func (v *tab) click(selector, text string) {
	v.t.Helper()
	const find = `(() => {
		for (const old of document.querySelectorAll("[data-click]")) old.removeAttribute("data-click");
		const found = [...document.querySelectorAll(%q)].find((e) => e.offsetParent && e.innerText.includes(%q));
		found?.setAttribute("data-click", "");
		return !!found;
	})()`
	v.waitFor(fmt.Sprintf(find, selector, text))
	v.run(chromedp.Click(chromedp.CSS("[data-click]")))
}

// press presses keys, one after the other.
func (v *tab) press(keys ...string) {
	v.t.Helper()
	for _, key := range keys {
		v.run(chromedp.KeyEvent(key))
	}
}

// tabTo presses the tab key until an element has the focus.
func (v *tab) tabTo(selector string) {
	v.t.Helper()
	for range 20 {
		v.run(chromedp.KeyEvent(kb.Tab))
		if value[bool](v, fmt.Sprintf("document.activeElement.matches(%q)", selector)) {
			return
		}
	}
	v.t.Fatalf("the keyboard does not reach %s", selector)
}

// openEmail waits until the mailbox contains so many emails with a subject, and opens the newest of
// them.
func (v *tab) openEmail(count int, subject string) {
	v.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	const found = `[...document.querySelectorAll("li a")].filter((one) => one.innerText === %q).length`
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		v.goTo("/dev/mail")
		if value[int](v, fmt.Sprintf(found, subject)) == count {
			break
		}
		if time.Now().After(deadline) {
			v.t.Fatalf("not %d emails %q within 20 seconds:\n%s", count, subject, v.text())
		}
	}
	v.click("li a", subject)
	v.waitForText("HTML")
	v.waitForText(subject)
}

// emailedLink returns the path and the fragment of the link in the newest of so many emails with a
// subject.
func (v *tab) emailedLink(count int, subject string) string {
	v.t.Helper()
	v.openEmail(count, subject)
	link := regexp.MustCompile(`/[a-z-]+#token=\S+`).FindString(v.text())
	if link == "" {
		v.t.Fatalf("the email contains no link:\n%s", v.text())
	}
	return link
}

// checkLayout saves a screenshot. It fails the test if axe finds an accessibility problem or if the
// page scrolls sideways.
func (v *tab) checkLayout(name string) {
	v.t.Helper()
	v.screenshot(name + "-" + v.name)
	source, err := os.ReadFile(axe)
	if err != nil {
		v.t.Fatalf("%v: .ci/setup downloads it", err)
	}
	const run = `axe.run(document, { iframes: false, resultTypes: ["violations"] }).then(({ violations }) => violations
		.flatMap((v) => v.nodes.map((n) => v.id + ": " + n.target + " " + n.failureSummary + " " + n.html)).join("\n"))`
	v.run(chromedp.Evaluate[chromedp.Void](string(source) + ";0"))
	if violations := value[string](v, run, chromedp.EvalAwaitPromise); violations != "" {
		v.t.Errorf("%s, %s: axe reports\n%s", name, v.name, violations)
	}
	v.check(fmt.Sprintf("document.documentElement.scrollWidth <= %d", v.width))
}

func (v *tab) screenshot(name string) {
	picture, err := chromedp.Run(v.ctx, chromedp.FullScreenshot(100))
	for tries := 0; err != nil && tries < 20; tries++ { // Chromium may still ask the page before this one
		time.Sleep(50 * time.Millisecond)
		picture, err = chromedp.Run(v.ctx, chromedp.FullScreenshot(100))
	}
	file := filepath.Join(screenshots, name+".png")
	err = errors.Join(err, os.MkdirAll(screenshots, 0o755), os.WriteFile(file, picture, 0o644))
	if err != nil {
		v.t.Errorf("screenshot of %s: %v", name, err)
	}
}
