package deploy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The server runs with nothing but what the image and every container engine provide: the program,
// certificate authorities, /proc, /dev and an empty data folder, on a file system that is read-only
// elsewhere, as the user of the image, without capabilities.
func TestContainer(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to change the root folder")
	}
	image := readImage(t)
	folder := t.TempDir()
	for _, name := range []string{"proc", "dev", "etc/ssl/certs", image.data} {
		must(t, os.MkdirAll(filepath.Join(folder, name), 0o755))
	}
	must(t, os.Link(program, filepath.Join(folder, "sesame")))
	must(t, os.WriteFile(filepath.Join(folder, "etc/ssl/certs/ca-certificates.crt"), nil, 0o644))
	must(t, os.Chmod(filepath.Dir(folder), 0o755))
	must(t, os.Chmod(folder, 0o755))

	api, admin := address(t), address(t)
	environment := append(slices.Clone(image.environment),
		"SESAME_ADDR="+api, "SESAME_ADMIN_ADDR=:"+admin[strings.LastIndex(admin, ":")+1:], "SESAME_DRAIN_DELAY=0s")
	s := start(t, inContainer(t, folder, image, environment, image.entrypoint, image.command), api, admin)

	s.post(t, "/auth/register", `{"name":"Ada","email":"ada@example.com",`+
		`"password":"correct horse battery staple","confirm":"correct horse battery staple"}`, http.StatusCreated)
	tokens := s.post(t, "/auth/login", `{"email":"ada@example.com","password":"correct horse battery staple"}`,
		http.StatusOK)
	var pair struct {
		AccessToken string `json:"accessToken"`
	}
	must(t, json.Unmarshal([]byte(tokens), &pair))
	if pair.AccessToken == "" {
		t.Errorf("login: no access token: %s", tokens)
	}
	if workers := children(t, s.process.Process.Pid); !slices.Contains(workers, "/proc/self/exe hash-worker") {
		t.Errorf("children of the server: %q, want one that hashes", workers)
	}
	s.post(t, "/auth/forgot-password", `{"email":"ada@example.com"}`, http.StatusAccepted)
	mailFolder := fmt.Sprintf("/proc/%d/root%s/mail", s.process.Process.Pid, image.data)
	waitForEmail(t, mailFolder, "Subject: Reset your Sesame password")

	health := inContainer(t, folder, image, environment, image.health[1:], nil)
	if output, err := health.CombinedOutput(); err != nil {
		t.Errorf("%q: %v\n%s", image.health, err, output)
	}
	must(t, s.process.Process.Signal(syscall.SIGTERM))
	<-s.ended
	for line := range strings.Lines(s.output.String()) {
		if strings.Contains(line, `"level":"WARN"`) || strings.Contains(line, `"level":"ERROR"`) {
			t.Errorf("the server logs a warning: %s", line)
		}
	}
}

// inContainer returns a command that runs as in a container. Its mounts exist only while it runs.
func inContainer(
	t *testing.T, folder string, image image, environment, entrypoint, arguments []string,
) *exec.Cmd {
	t.Helper()
	user, group, _ := strings.Cut(image.user, ":")
	// The new root is a read-only view of the folder. The data is in memory.
	const script = `
		mount --bind "$1" "$1"
		mount -t tmpfs -o "mode=0700,uid=$3,gid=$4" tmpfs "$1$2"
		mount -o remount,bind,ro "$1"
		mount --rbind /dev "$1/dev"
		mount -t proc proc "$1/proc"
		folder=$1 user=$3 group=$4
		shift 4
		exec setpriv --no-new-privs unshare --root "$folder" --wd / --setgid "$group" --setuid "$user" "$@"`
	command := exec.CommandContext(t.Context(), "unshare", slices.Concat([]string{
		"--mount", "--propagation", "private", "sh", "-euc", script, "sh", folder, image.data, user, group,
	}, entrypoint, arguments)...)
	command.Env = environment
	return command
}

// children returns the command lines of the children of a process.
func children(t *testing.T, pid int) (lines []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	must(t, err)
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // the process has ended
		}
		var parent int
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		must(t, json.Unmarshal([]byte(fields[1]), &parent))
		if parent == pid {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline")) // empty if it has ended
			lines = append(lines, strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " ")))
		}
	}
	return lines
}

// waitForEmail waits until a file in the folder contains the text.
func waitForEmail(t *testing.T, folder, text string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		files, err := filepath.Glob(filepath.Join(folder, "*.eml"))
		must(t, err)
		for _, file := range files {
			content, err := os.ReadFile(file)
			must(t, err)
			if strings.Contains(string(content), text) {
				return
			}
		}
	}
	t.Errorf("no email with %q in %s within 20 seconds", text, folder)
}
