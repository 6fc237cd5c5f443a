package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// tolerated is the loss of a ratio that the noise of a shared machine can cause.
const tolerated = 0.2

// compare prints the ratios of both and returns an error if one of them has become worse. Rates depend
// on the machine and its load, so they are not compared. A ratio that only one of them has is left out.
func compare(base, current *results, output io.Writer) error {
	compared, worse := 0, 0
	for _, name := range current.names {
		for _, unit := range slices.Sorted(maps.Keys(current.values[name])) {
			if !strings.HasSuffix(unit, "ratio") {
				continue
			}
			before, found := base.median(name, unit)
			if !found || before == 0 {
				continue
			}
			after, _ := current.median(name, unit)
			mark := ""
			if compared++; after < before*(1-tolerated) {
				worse++
				mark = "  WORSE"
			}
			_, err := fmt.Fprintf(output, "%-45s %-12s %6.3f %6.3f  %+.0f %%%s\n",
				name, unit, before, after, (after/before-1)*100, mark)
			if err != nil {
				return err
			}
		}
	}
	switch {
	case compared == 0:
		return errors.New("the files have no ratio in common")
	case worse > 0:
		return fmt.Errorf("%d of %d ratios are more than %.0f %% worse", worse, compared, tolerated*100)
	}
	return nil
}
