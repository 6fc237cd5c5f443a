package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
)

// Folder writes each message as an .eml file: for development, and until a mail
// server is configured. The files hold links that work, so only the owner of
// the process can read them. Nothing deletes them.
type Folder struct {
	// Now dates the messages and names the files. Set to time.Now by [NewFolder].
	Now func() time.Time

	dir  string
	from mailbox
}

// NewFolder makes a sender that writes into dir, which it creates (mode 0700)
// if it is missing. from is an RFC 5322 mailbox.
func NewFolder(dir, from string) (*Folder, error) {
	sender, err := parseMailbox(from)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("mail: creating the folder: %w", err)
	}
	return &Folder{Now: time.Now, dir: dir, from: sender}, nil
}

// Send writes m to 20060102T150405.000000Z-ID.eml (UTC, so names sort by time)
// with \n line ends, which suit grep. The file appears complete or not at all.
func (f *Folder) Send(ctx context.Context, m Message) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	now := f.Now().UTC()
	raw, err := f.from.compose(m, now)
	if err != nil {
		return err
	}
	name := now.Format("20060102T150405.000000Z") + "-" + uuid.NewString() + ".eml"
	if err := writeFile(f.dir, name, bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))); err != nil {
		return fmt.Errorf("mail: writing a file: %w", err)
	}
	return nil
}

// writeFile makes dir/name, mode 0600, in one step.
func writeFile(dir, name string, content []byte) error {
	// The folder may have been cleared away while the server runs.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, ".unfinished-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(content)
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}
