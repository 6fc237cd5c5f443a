package mail

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "mail")
	folder, err := NewFolder(dir, testFrom)
	if err != nil {
		t.Fatal(err)
	}
	now := noon
	folder.Now = func() time.Time { now = now.Add(time.Second); return now }
	for range 3 {
		if err := folder.Send(t.Context(), testMessage(t)); err != nil {
			t.Fatal(err)
		}
	}

	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%v, %v", entries, err)
	}
	name := regexp.MustCompile(`^20260102T11000([123])\.123456Z-[0-9a-f-]{36}\.eml$`)
	for i, entry := range entries { // sorted by name
		match := name.FindStringSubmatch(entry.Name())
		if match == nil || match[1] != string(rune('1'+i)) {
			t.Errorf("file %d is %s", i, entry.Name())
		}
		if info, err := entry.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		raw, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		// For grep, the link is on its own line.
		if lines := strings.Split(string(raw), "\n"); !slices.Contains(lines, testLink) {
			t.Errorf("no line contains only the link:\n%s", raw)
		}
		if parseMail(t, raw).header.Get("To") != "<ada@example.org>" {
			t.Error("the recipient is missing")
		}
	}
}

func TestFolderFails(t *testing.T) {
	dir := t.TempDir()
	folder, err := NewFolder(dir, testFrom)
	if err != nil {
		t.Fatal(err)
	}
	m := testMessage(t)
	m.To = "ada@example.org\r\nBcc: eve@example.org"
	if err := folder.Send(t.Context(), m); !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := folder.Send(ctx, testMessage(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewFolder(file, testFrom); err == nil {
		t.Error("NewFolder accepted a file")
	}
	if _, err := NewFolder(dir, "nobody"); err == nil {
		t.Error("NewFolder accepted an invalid sender")
	}
}

// A running server recreates the folder.
func TestFolderIsDeleted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mail")
	folder, err := NewFolder(dir, testFrom)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := folder.Send(t.Context(), testMessage(t)); err != nil {
		t.Error(err)
	}
}
