package main

import (
	"testing"

	"github.com/sesame-auth/sesame/internal/processtest"
)

func TestMain(m *testing.M) { processtest.Main(m) }
