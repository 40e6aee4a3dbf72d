package supabase

import (
	"testing"

	"github.com/fleetline/fleetline/internal/directory/directorytest"
	"github.com/fleetline/fleetline/internal/directory/supabase/standin"
)

// variant is one way in which projects differ.
type variant struct {
	name   string
	id     string // SQL type
	legacy bool   // the kind of key
	// install makes what the owner may or may not have installed.
	install func(*project)
}

func variants() []variant {
	nothing := func(*project) {}
	return []variant{
		{"UUIDsAndASecretKeyInURLs", "uuid", false, nothing},
		{"NumbersAndALegacyKeyInURLs", "bigint", true, nothing},
		{"TextsAndASecretKeyInURLs", "text", false, nothing},
		{"NumbersAndASecretKeyInBodies", "bigint", false, (*project).installLookups},
		{"UUIDsAndALegacyKeyWithMachines", "uuid", true, (*project).installAll},
		{"TextsAndASecretKeyWithMachines", "text", false, (*project).installAll},
	}
}

func TestTheSuite(t *testing.T) {
	t.Parallel()
	s := server(t)
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel() // most of the time is spent waiting for Realtime's next poll
			directorytest.Run(t, func(t *testing.T) directorytest.Fixture {
				p := newProject(t, s, v.id, standin.Config{})
				v.install(p)
				return p.fixture(t, p.config(p.key(v.legacy), &journal{}))
			})
		})
	}
}
