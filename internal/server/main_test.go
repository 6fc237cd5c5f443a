package server_test

import (
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

func TestMain(m *testing.M) { databasetest.Main(m) }
