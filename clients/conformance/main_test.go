package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain also is the careless client, when a test starts it as one.
func TestMain(m *testing.M) {
	if os.Getenv(careless) != "" {
		beCareless()
		return
	}
	goleak.VerifyTestMain(m)
}
