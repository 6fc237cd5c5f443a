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

// Folder writes each message to an .eml file, for development without a mail
// server. The files contain links that work, so only the owner of the process can
// read them. Nothing deletes them.
type Folder struct {
	// Now returns the date of messages and in file names. [NewFolder] sets it to time.Now.
	Now func() time.Time

	dir  string
	from mailbox
}

// NewFolder returns a sender that writes to dir. It creates dir with mode 0700 if
// it does not exist. from is an RFC 5322 mailbox.
func NewFolder(dir, from string) (*Folder, error) {
	sender, err := parseMailbox(from)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create mail folder: %w", err)
	}
	return &Folder{Now: time.Now, dir: dir, from: sender}, nil
}

// Send writes m to 20060102T150405.000000Z-ID.eml (UTC, so names sort by time)
// with \n at the end of lines, for grep. The file appears complete or not at all.
func (f *Folder) Send(ctx context.Context, m Message) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("write email: %w", err)
	}
	now := f.Now().UTC()
	raw, err := f.from.compose(m, now)
	if err != nil {
		return err
	}
	name := now.Format("20060102T150405.000000Z") + "-" + uuid.NewString() + ".eml"
	if err := writeFile(f.dir, name, bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))); err != nil {
		return fmt.Errorf("write email: %w", err)
	}
	return nil
}

// Close does nothing.
func (f *Folder) Close() {}

// writeFile creates dir/name with mode 0600, atomically.
func writeFile(dir, name string, content []byte) error {
	// The folder may have been deleted while the server is running.
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
