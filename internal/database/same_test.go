package database_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// One database has many paths and URLs.
func TestSame(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		one := databasetest.URL(t, engine)
		db, again, other := openAt(t, one), openAt(t, otherName(t, one)), databasetest.New(t, engine)
		if same, err := db.Same(t.Context(), again); err != nil || !same {
			t.Errorf("two names of one database: %v, %v", same, err)
		}
		if same, err := db.Same(t.Context(), other); err != nil || same {
			t.Errorf("two databases: %v, %v", same, err)
		}
		for _, engine := range databasetest.Engines {
			if same, err := db.Same(t.Context(), databasetest.New(t, engine)); err != nil || same {
				t.Errorf("another database of %s: %v, %v", engine, same, err)
			}
		}
	})
}

func openAt(t *testing.T, databaseURL string) *database.DB {
	t.Helper()
	db, err := database.OpenExisting(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// otherName returns another URL of the same database: through a symbolic link, or another host name.
func otherName(t *testing.T, databaseURL string) string {
	t.Helper()
	if path, isSQLite := strings.CutPrefix(databaseURL, "sqlite:"); isSQLite {
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(filepath.Dir(path), link); err != nil {
			t.Fatal(err)
		}
		return "sqlite:" + filepath.Join(link, filepath.Base(path))
	}
	parsed, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	parsed.Host = "localhost:" + parsed.Port()
	return parsed.String()
}
