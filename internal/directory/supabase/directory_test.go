package supabase

import (
	"testing"

	"github.com/fleetline/fleetline/internal/directory/directorytest"
	"github.com/fleetline/fleetline/internal/directory/supabase/standin"
)

func TestTheSuite(t *testing.T) {
	for _, id := range idTypes {
		for _, functions := range []bool{false, true} {
			for _, legacy := range []bool{false, true} {
				name := id + map[bool]string{false: " by URL", true: " by body"}[functions] + map[bool]string{false: " with a secret key", true: " with a legacy key"}[legacy]
				t.Run(name, func(t *testing.T) {
					directorytest.Run(t, func(t *testing.T) directorytest.Fixture {
						p := newProject(t, id, standin.Config{})
						if functions {
							p.installLookups()
						}
						key := p.Keys().Secret
						if legacy {
							key = p.Keys().ServiceRole
						}
						return p.fixture(t, p.config(key, &journal{}))
					})
				})
			}
		}
	}
}
