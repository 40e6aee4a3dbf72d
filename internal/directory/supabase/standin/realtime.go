package standin

import (
	"net/http"

	"github.com/jackc/pgx/v5"
)

type realtime struct{}

func newRealtime(*Project, *pgx.ConnConfig) *realtime { return &realtime{} }

func (*realtime) serve(w http.ResponseWriter, _ call) { w.WriteHeader(http.StatusNotImplemented) }

func (*realtime) close() {}

const subscriptionFailed = "Unable to subscribe to changes with given parameters."
