package postgres

import (
	"errors"
	"testing"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestWhatPassesByItselfIsUnavailableAndAMistakeIsNot(t *testing.T) {
	for state, passes := range map[string]bool{"40P01": true, "40001": true, "53300": true, "57P03": true, "28P01": false, "42501": false, "42P01": false} {
		if err := describe(&pgconn.PgError{Code: state}); errors.Is(err, directory.ErrUnavailable) != passes {
			t.Errorf("%s: %v, unavailable %v, want %v", state, err, !passes, passes)
		}
	}
}
