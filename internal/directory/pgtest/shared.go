package pgtest

import (
	"sync"
	"testing"
)

// shared is the one server of a test binary: it outlives its tests, so it can lie nowhere else.
var shared struct {
	mu     sync.Mutex
	server *Server
}

// Shared is the server that all tests of a binary share, started by the first that asks. It may be
// neither stopped nor changed. TestMain must run Main, which ends it.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		s, err := start()
		if err != nil {
			t.Fatal(err)
		}
		shared.server = s
	}
	return shared.server
}

// Tests are what TestMain runs: *testing.M, or something around it.
type Tests interface{ Run() int }

// Main is m with the shared server stopped at its end:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }
func Main(m Tests) Tests { return main{m} }

type main struct{ Tests }

// Run runs the tests, then stops the shared server.
func (m main) Run() int {
	code := m.Tests.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server != nil {
		shared.server.remove()
		shared.server = nil
	}
	return code
}
