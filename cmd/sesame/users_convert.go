package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/password"
)

// exportedUser is a user of another system's export: a JSON object in a line of its own, or a row of
// a CSV file as a JSON object.
type exportedUser struct {
	line int
	json []byte
	err  error // the line is neither
}

// A converter converts a user of an export. It returns errDeleted or errNoEmail for a user who is
// left out on purpose.
type converter func(exported []byte, now time.Time) (userRecord, error)

// converters has the converters by the name of the system.
var converters = map[string]converter{"auth0": convertAuth0, "supabase": convertSupabase}

var (
	errDeleted = errors.New("the user is deleted")
	errNoEmail = errors.New("the user has no email")
)

func convertUsersCommand() *cobra.Command {
	var from string
	names := strings.Join(slices.Sorted(maps.Keys(converters)), " or ")
	command := &cobra.Command{
		Use:   "convert --from SYSTEM FILE|-",
		Short: "Convert an export of another system to NDJSON for users import",
		Long: `Convert an export of another system to NDJSON for "sesame users import".

supabase: rows of auth.users, as CSV with a header, or as one JSON object per line
auth0:    the export of the password hashes, or of the users; both are one JSON object per line

A line that cannot be converted is reported with its number, and the others are converted. The exit status is then 1.
Users without an email and deleted users are left out. It needs no database and no settings.`,
		Example: `  sesame users convert --from supabase users.csv > users.ndjson
  sesame users import users.ndjson`,
		Args: oneArgument,
		RunE: func(command *cobra.Command, args []string) error {
			convert, ok := converters[from]
			if !ok {
				return usageError{fmt.Errorf("--from must be %s", names)}
			}
			in, _, err := openInput(command, args[0])
			if err != nil {
				return err
			}
			defer func() { _ = in.Close() }() // it is only read
			return convertUsers(command, in, convert)
		},
	}
	command.Flags().StringVar(&from, "from", "", names)
	return command
}

func convertUsers(command *cobra.Command, in io.Reader, convert converter) error {
	out := bufio.NewWriter(command.OutOrStdout())
	var converted, withoutPassword, deleted, withoutEmail, invalid int
	for exported, err := range exportedUsers(in) {
		if err := errors.Join(err, command.Context().Err()); err != nil {
			return errors.Join(out.Flush(), err)
		}
		record, err := userRecord{}, exported.err
		if err == nil {
			record, err = convertUser(exported, convert)
		}
		switch {
		case errors.Is(err, errDeleted):
			deleted++
		case errors.Is(err, errNoEmail):
			withoutEmail++
		case err != nil:
			invalid++
			command.PrintErrf("line %d: %s\n", exported.line, err)
		default:
			converted++
			if record.PasswordHash == nil {
				withoutPassword++
			}
			if err := printJSON(out, record); err != nil {
				return err
			}
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	command.PrintErrf("%d converted, %d of them without a password. Left out: %d deleted, %d without an email.\n",
		converted, withoutPassword, deleted, withoutEmail)
	if invalid > 0 {
		return fmt.Errorf("lines not converted: %d", invalid)
	}
	return nil
}

// convertUser converts a user, and checks what import would refuse without the line of the export.
func convertUser(exported exportedUser, convert converter) (userRecord, error) {
	record, err := convert(exported.json, time.Now())
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok && semantic.JSONPointer != "" {
		return record, fmt.Errorf("the field %s has the wrong type", fieldName(semantic.JSONPointer))
	}
	if err != nil {
		return record, err
	}
	if _, err := auth.NormalizeEmail(record.Email); err != nil {
		return record, err
	}
	if record.PasswordHash != nil {
		return record, password.CheckHash(*record.PasswordHash)
	}
	return record, nil
}

// orNil returns a pointer to text, or nil if it is empty.
func orNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// longestExportedLine is larger than maxLineLength, because users of other systems may have
// metadata of any size.
const longestExportedLine = 4 << 20

// exportedUsers reads the users of a CSV file with a header, or of a file with one JSON object per
// line. The error is of the whole file.
func exportedUsers(in io.Reader) iter.Seq2[exportedUser, error] {
	lines := bufio.NewReaderSize(in, longestExportedLine)
	if start, err := lines.Peek(1); err == nil && start[0] == '{' {
		return jsonUsers(&lineReader{lines: lines})
	}
	return csvUsers(lines)
}

func jsonUsers(lines *lineReader) iter.Seq2[exportedUser, error] {
	return func(yield func(exportedUser, error) bool) {
		for {
			text, refusal, err := lines.line()
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(exportedUser{}, err)
				return
			case refusal == nil && len(bytes.TrimSpace(text)) == 0:
				continue
			}
			if object := jsontext.Value(text); refusal == nil && (object.Kind() != '{' || !object.IsValid()) {
				refusal = errors.New("the line is not one JSON object in UTF-8")
			}
			if !yield(exportedUser{lines.number, text, refusal}, nil) {
				return
			}
		}
	}
}
