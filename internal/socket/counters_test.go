package socket_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fleetline/fleetline/internal/socket"
)

func gather(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		m := f.GetMetric()[0]
		values[strings.TrimPrefix(f.GetName(), "fleetline_socket_")] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return values
}

func TestEnginesCount(t *testing.T) {
	for _, kind := range []string{"pipe", "memory"} {
		t.Run(kind, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			b := newRig(t, kind, socket.Config{Registerer: registry, MaxPending: 10})
			id, far := b.open(t)
			_ = far.text("hello")
			_ = far.binary("x")
			b.recorder.expect(t, `text "hello"`, "binary")
			b.engine.Send(id, prepare("answer"))
			b.engine.Send(id, prepare("refused"))
			far.read(t)
			b.recorder.expect(t, "drained")
			in := 6.0 // bytes of messages
			if kind == "pipe" {
				in += 2 * 6 // headers and keys
			}
			want := map[string]float64{
				"connections": 1, "received_frames_total": 2, "sent_frames_total": 1,
				"received_bytes_total": in, "sent_bytes_total": 8, "refused_sends_total": 1,
			}
			if got := gather(t, registry); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %v, want %v", got, want)
			}
			b.engine.Close()
			if got := gather(t, registry); len(got) != 0 {
				t.Errorf("a closed engine is still counted: %v", got)
			}
		})
	}
}

func TestTheEngineOfThisSystemCountsPlainAndSecureConnectionsTogether(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := newRecorder()
	e := native(t, socket.Config{Handler: r, Registerer: registry})
	for _, kind := range []string{"native", "native tls"} {
		far := shakeHands(t, dial(t, kind, server(t, e, starting(kind))), nil)
		id := r.opened(t)
		_ = far.text("hello")
		_ = far.binary("x")
		r.expect(t, `text "hello"`, "binary")
		e.Send(id, prepare("answer"))
		far.read(t)
	}
	want := map[string]float64{
		"connections": 2, "received_frames_total": 4, "sent_frames_total": 2,
		"received_bytes_total": 2 * 18, "sent_bytes_total": 2 * 8, "refused_sends_total": 0,
	}
	// What was written is counted behind the write.
	for patient := time.Now(); ; runtime.Gosched() {
		got := gather(t, registry)
		if fmt.Sprint(got) == fmt.Sprint(want) {
			break
		}
		if time.Since(patient) > patience {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

func TestTwoEnginesInOneRegistryAreRefused(t *testing.T) {
	registry := prometheus.NewRegistry()
	cfg := socket.Config{Handler: newRecorder(), Registerer: registry}
	portable(t, cfg)
	if _, err := socket.NewPortable(cfg); err == nil {
		t.Error("the second engine was not refused")
	}
}
