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
	"github.com/sesame-auth/sesame/internal/totp"
)

// maxLineLength is the maximum length of a line, in bytes.
const maxLineLength = 64 << 10

// importLine is a line of an import: an account, or the reason why the line is refused.
type importLine struct {
	number  int
	account auth.ImportedUser
	err     error
}

// importReader reads NDJSON, one user per line. It refuses an email or id that an earlier line has,
// because it cannot know which of the two lines is right. It needs the memory of one batch, and
// about 40 bytes per line for the emails and ids it has seen.
type importReader struct {
	lineReader

	seen map[[16]byte]bool
}

func newImportReader(in io.Reader) *importReader {
	return &importReader{lineReader{lines: bufio.NewReaderSize(in, maxLineLength)}, make(map[[16]byte]bool)}
}

// batch returns the next lines, without empty ones. It returns none at the end of the file.
func (r *importReader) batch() ([]importLine, error) {
	var batch []importLine
	for len(batch) < auth.MaxImportBatch {
		text, refusal, err := r.line()
		if errors.Is(err, io.EOF) {
			return batch, nil
		}
		if err != nil {
			return nil, err
		}
		if refusal == nil && len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		line := importLine{number: r.number, err: refusal}
		if line.err == nil {
			line.account, line.err = parseUser(text)
		}
		if line.err == nil {
			line.err = r.checkRepeated(&line.account)
		}
		batch = append(batch, line)
	}
	return batch, nil
}

// lineReader reads lines that fit into the buffer of its reader.
type lineReader struct {
	lines  *bufio.Reader
	number int // of the last line
	bytes  int // read so far
}

// line returns the next line, or the reason why it is refused. It skips all of a line that is too
// long.
func (r *lineReader) line() (text []byte, refusal, err error) {
	r.number++
	text, err = r.lines.ReadSlice('\n')
	r.bytes += len(text)
	for errors.Is(err, bufio.ErrBufferFull) {
		refusal = fmt.Errorf("the line is longer than %d bytes", r.lines.Size())
		text, err = r.lines.ReadSlice('\n')
		r.bytes += len(text)
	}
	if errors.Is(err, io.EOF) && (len(text) > 0 || refusal != nil) {
		err = nil // the last line has no line break
	}
	return text, refusal, err
}

// checkRepeated returns an error if an earlier line, refused or not, has the same email or id.
func (r *importReader) checkRepeated(account *auth.ImportedUser) error {
	if email, err := auth.NormalizeEmail(account.Email); err == nil && r.again(email) {
		return errors.New("an earlier line has this email")
	}
	if account.ID != uuid.Nil && r.again(account.ID.String()) {
		return errors.New("an earlier line has this id")
	}
	return nil
}

// again reports whether text was seen before.
func (r *importReader) again(text string) bool {
	sum := sha256.Sum256([]byte(text))
	key := [16]byte(sum[:16])
	again := r.seen[key]
	r.seen[key] = true
	return again
}

// parseUser parses one line. It refuses repeated and unknown fields: parsers disagree about the
// former, and import would lose the latter. The error quotes only the name of a field, because the
// line contains secrets.
func parseUser(text []byte) (auth.ImportedUser, error) {
	record := userRecord{EmailVerified: true}
	err := json.Unmarshal(text, &record, json.RejectUnknownMembers(true))
	semantic, isSemantic := errors.AsType[*json.SemanticError](err)
	switch {
	case isSemantic && errors.Is(err, json.ErrUnknownName):
		return auth.ImportedUser{}, fmt.Errorf("unknown field %s", fieldName(semantic.JSONPointer))
	case errors.Is(err, jsontext.ErrDuplicateName):
		return auth.ImportedUser{}, errors.New("a field is repeated")
	case isSemantic && semantic.JSONPointer != "":
		return auth.ImportedUser{}, fmt.Errorf("the field %s has the wrong type", fieldName(semantic.JSONPointer))
	case err != nil:
		return auth.ImportedUser{}, errors.New("the line is not one JSON object in UTF-8")
	}
	var secret totp.Secret
	if record.TOTPSecret != nil {
		if secret, err = totp.ParseSecret(*record.TOTPSecret); err != nil {
			return auth.ImportedUser{}, err
		}
	}
	return auth.ImportedUser{
		TOTPSecret: secret,
		ID:         record.ID, Email: record.Email, Name: record.Name, Bio: record.Bio,
		PasswordHash: record.PasswordHash, CreatedAt: record.CreatedAt,
		LastLoginAt: record.LastLoginAt, Disabled: record.Disabled, Unverified: !record.EmailVerified,
	}, nil
}

// fieldName returns the last name of a pointer, quoted and shortened.
func fieldName(pointer jsontext.Pointer) string {
	name := []rune(pointer.LastToken())
	return fmt.Sprintf("%q", string(name[:min(len(name), 40)]))
}
