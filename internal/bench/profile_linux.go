package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
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
	seconds := math.Ceil((r.config.Duration + time.Second/2).Seconds())
	taken := make(chan error, 1)
	go func() { // wait waits for it
		// The machines' port opens before the operators' does.
		if err := r.gateway.awaitDoor(ctx, r.gateway.operator); err != nil {
			taken <- err
			return
		}
		taken <- r.gateway.save(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%.0f", seconds), filepath.Join(r.config.Profiles, name))
	}()
	return func() {
		if err := <-taken; err != nil {
			r.note("there is no profile: %v", err)
			return
		}
		r.result.Profiles = append(r.result.Profiles, name)
	}
}

// keepHeap keeps what the gateway's memory is used for, if profiles are wanted.
func (r *run) keepHeap(ctx context.Context) error {
	if r.config.Profiles == "" || r.gateway == nil {
		return nil
	}
	name := r.result.Scenario + "-heap.pprof"
	if err := r.gateway.save(ctx, "/debug/pprof/heap?gc=1", filepath.Join(r.config.Profiles, name)); err != nil {
		return err
	}
	r.result.Profiles = append(r.result.Profiles, name)
	return nil
}

// save writes what the operators' door answers to a file.
func (g *gateway) save(ctx context.Context, path, file string) error {
	body, err := g.get(ctx, path)
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
