package server

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"
)

// stopTimeout bounds each wait of a stop but the drain, which has its own setting.
const stopTimeout = 5 * time.Second

// Run serves until ctx ends, then stops in order: not ready, no new machines, those that are here
// told to come back with a spread delay, requests of operators finished, everything closed. It
// returns nil after a stop that was asked for.
func (s *Server) Run(ctx context.Context) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var work sync.WaitGroup
	defer work.Wait()
	failed := make(chan error, 4)
	start := func(f func() error) {
		work.Go(func() { // ends with its server's Shutdown, or with life
			if err := f(); err != nil {
				failed <- err
			}
		})
	}
	// Operators can ask from the first moment on; machines wait until the log is heard.
	start(s.operators.serve)
	start(func() error { s.admin.Run(life); return nil })
	if err := writeFile(filepath.Join(s.config.DataDir, AdminAddrFile), s.AdminURL()+"\n"); err != nil {
		failed <- err
	}
	start(func() error {
		return s.gateway.Run(life, func() {
			start(s.machines.serve)
			s.log.Info("serving", "machines", s.URL(), "operators", s.AdminURL(), "data", s.config.DataDir, "epoch", s.broker.Epoch())
			s.config.OnServing()
		})
	})
	var err error
	select {
	case <-ctx.Done():
		s.log.Info("stopping", "sessions", s.gateway.Hub().Len())
	case err = <-failed:
	}
	s.drain()
	end()
	return err
}

// drain tells everybody to come back and waits for them, each wait bounded.
func (s *Server) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Drain)
	defer cancel()
	stopped := make(chan struct{})
	go func() { // ends when the port's last handshake has, or with ctx
		defer close(stopped)
		_ = s.machines.http.Shutdown(ctx) // what is left is closed with the gateway
	}()
	s.gateway.Drain(ctx)
	<-stopped
	ctx, cancel = context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.operators.http.Shutdown(ctx); err != nil {
		_ = s.operators.http.Close()
	}
}

// Close closes everything that Open opened. It comes after Run has returned; a second call returns
// what the first did.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		var errs []error
		for _, d := range []door{s.machines, s.operators} {
			if d.listener != nil {
				_ = d.http.Close()
				_ = d.listener.Close() // closed already if it was served
			}
		}
		if s.gateway != nil {
			s.gateway.Close()
		}
		if s.own != nil {
			s.books.close()
			s.own.Close()
		}
		if s.events != nil {
			s.events.Close()
		}
		if s.broker != nil {
			errs = append(errs, s.removeAddr(), s.broker.Close())
		}
		s.closeErr = errors.Join(errs...)
	})
	return s.closeErr
}
