package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// profile takes a CPU profile of the gateway, if profiles are wanted, and returns what waits for it.
// It lasts longer than what is measured by the clock: a profile that ends is written, and that work
// must not fall into the measurement. Of what lasts longer it shows the beginning.
func (r *run) profile(ctx context.Context) (wait func()) {
	if r.config.Profiles == "" || r.gateway == nil {
		return func() {}
	}
	name := fmt.Sprintf("%s-%d.pprof", r.result.Scenario, len(r.result.Profiles)+1)
	taken := make(chan error, 1)
	go func() { // wait waits for it
		taken <- r.gateway.profile(ctx, r.config.Duration+time.Second, filepath.Join(r.config.Profiles, name))
	}()
	return func() {
		if err := <-taken; err != nil {
			r.note("there is no profile: %v", err)
			return
		}
		r.result.Profiles = append(r.result.Profiles, name)
	}
}

func (g *gateway) profile(ctx context.Context, d time.Duration, file string) error {
	body, err := g.get(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%.0f", max(1, d.Seconds())))
	if err != nil {
		return err
	}
	defer body.Close()
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, body)
	return errors.Join(err, out.Close())
}
