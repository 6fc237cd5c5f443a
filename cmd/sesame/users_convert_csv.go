package main

import (
	"encoding/csv"
	"errors"
	"io"
	"iter"
	"slices"

	"github.com/go-json-experiment/json"
)

// csvUsers reads the rows of a CSV file (RFC 4180) as JSON objects: a member for each column that is
// not empty, with its text.
func csvUsers(in io.Reader) iter.Seq2[exportedUser, error] {
	return func(yield func(exportedUser, error) bool) {
		rows := csv.NewReader(in)
		header, err := rows.Read()
		if err != nil || !slices.Contains(header, "email") {
			yield(exportedUser{}, errors.New("the first line is neither a JSON object nor the header of a CSV file with "+
				"the column email; jq -c '.[]' converts a JSON array to one object per line"))
			return
		}
		rows.ReuseRecord = true
		for {
			row, err := rows.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			var user exportedUser
			if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
				user.line, user.err = wrong.StartLine, wrong.Err
			} else if err != nil {
				yield(exportedUser{}, err)
				return
			} else {
				user.line, _ = rows.FieldPos(0)
				user.json, user.err = rowToJSON(header, row)
			}
			if !yield(user, nil) {
				return
			}
		}
	}
}

func rowToJSON(header, row []string) ([]byte, error) {
	members := make(map[string]string)
	for i, value := range row {
		if value != "" {
			members[header[i]] = value
		}
	}
	return json.Marshal(members)
}
