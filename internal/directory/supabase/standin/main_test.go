package standin

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/fleetline/fleetline/internal/directory/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }
