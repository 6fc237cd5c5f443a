package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/auth"
)

// longestLine is the most bytes of a line that is looked at.
const longestLine = 64 << 10

// importLine is a line of an import: an account, or what is wrong with the line.
type importLine struct {
	number  int
	account auth.ImportedUser
	fault   error
}

// importReader reads NDJSON, a user a line. It takes the memory of one batch, and about forty bytes a line to tell
// addresses and ids that occur twice: which of two lines is right is for whoever made the file to say.
type importReader struct {
	lines  *bufio.Reader
	number int
	bytes  int // read so far
	seen   map[[16]byte]bool
}

func newImportReader(in io.Reader) *importReader {
	return &importReader{lines: bufio.NewReaderSize(in, longestLine), seen: make(map[[16]byte]bool)}
}

// batch is the next lines, empty ones left out. None: the end.
func (r *importReader) batch() ([]importLine, error) {
	var batch []importLine
	for len(batch) < auth.MaxImportBatch {
		text, fault, err := r.line()
		if errors.Is(err, io.EOF) {
			return batch, nil
		}
		if err != nil {
			return nil, err
		}
		if fault == nil && len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		line := importLine{number: r.number, fault: fault}
		if fault == nil {
			line.account, line.fault = parseUser(text)
		}
		if line.fault == nil {
			line.fault = r.twice(&line.account)
		}
		batch = append(batch, line)
	}
	return batch, nil
}

// line is the next line, or why it is none. A line that is too long is passed over whole.
func (r *importReader) line() (text []byte, fault, err error) {
	r.number++
	text, err = r.lines.ReadSlice('\n')
	r.bytes += len(text)
	for errors.Is(err, bufio.ErrBufferFull) {
		fault = fmt.Errorf("the line is longer than %d bytes", longestLine)
		text, err = r.lines.ReadSlice('\n')
		r.bytes += len(text)
	}
	if errors.Is(err, io.EOF) && (len(text) > 0 || fault != nil) {
		err = nil // the last line has no end
	}
	return text, fault, err
}

// twice tells of an address or id that an earlier line has, good or not.
func (r *importReader) twice(account *auth.ImportedUser) error {
	if address, err := auth.NormalizeEmail(account.Email); err == nil && r.again(address) {
		return errors.New("an earlier line has this address")
	}
	if account.ID != uuid.Nil && r.again(account.ID.String()) {
		return errors.New("an earlier line has this id")
	}
	return nil
}

func (r *importReader) again(text string) bool {
	sum := sha256.Sum256([]byte(text))
	key := [16]byte(sum[:16])
	again := r.seen[key]
	r.seen[key] = true
	return again
}

// parseUser reads one line. What readers of JSON disagree about is refused, and so is what import would not keep.
// The fault quotes nothing but the name of a field: a line holds a hash.
func parseUser(text []byte) (auth.ImportedUser, error) {
	var record userRecord
	err := json.Unmarshal(text, &record, json.RejectUnknownMembers(true))
	var semantic *json.SemanticError
	switch {
	case errors.Is(err, json.ErrUnknownName) && errors.As(err, &semantic):
		return auth.ImportedUser{}, fmt.Errorf("there is no field %s", fieldName(semantic.JSONPointer))
	case errors.Is(err, jsontext.ErrDuplicateName):
		return auth.ImportedUser{}, errors.New("a field occurs twice")
	case errors.As(err, &semantic) && semantic.JSONPointer != "":
		return auth.ImportedUser{}, fmt.Errorf("the field %s does not hold what it should", fieldName(semantic.JSONPointer))
	case err != nil:
		return auth.ImportedUser{}, errors.New("the line is not one JSON object in UTF-8")
	}
	return auth.ImportedUser{
		ID: record.ID, Email: record.Email, Name: record.Name, Bio: record.Bio,
		PasswordHash: record.PasswordHash, CreatedAt: record.CreatedAt, Disabled: record.Disabled,
	}, nil
}

// fieldName is the last name of a pointer, short enough to be one.
func fieldName(pointer jsontext.Pointer) string {
	name := []rune(pointer.LastToken())
	return fmt.Sprintf("%q", string(name[:min(len(name), 40)]))
}
