package socket_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/socket"
)

// hall is a crowd that speaks while the loops are held up, so that they find everybody talking at once.
type hall struct {
	*rig
	release chan struct{}
	said    map[socket.ID][]string
	all     int // messages
	came    chan struct{}

	mu    sync.Mutex
	heard map[socket.ID][]string
}

func newHall(t *testing.T, cfg socket.Config) *hall {
	h := &hall{rig: newRig(t, "native", cfg), release: make(chan struct{}), came: make(chan struct{}, 10000), said: map[socket.ID][]string{}, heard: map[socket.ID][]string{}}
	held := make(chan struct{})
	h.recorder.onClosed = func(socket.ID, socket.Closure) {}
	h.recorder.onFrame = func(id socket.ID, payload []byte) {
		if string(payload) == "hold" {
			held <- struct{}{}
			<-h.release
			return
		}
		h.mu.Lock()
		h.heard[id] = append(h.heard[id], string(payload))
		h.mu.Unlock()
		h.came <- struct{}{}
	}
	for range runtime.GOMAXPROCS(0) { // slots, and so loops, are taken in turn
		_, far := h.open(t)
		_ = far.text("hold")
		<-held
	}
	return h
}

// say has a new peer say texts and stay, close or vanish.
func (h *hall) say(t *testing.T, texts []string, end int) {
	id, far := h.open(t)
	h.said[id] = texts
	h.all += len(texts)
	for _, text := range texts {
		if err := far.text(text); err != nil {
			t.Fatal(err)
		}
	}
	switch end {
	case 0:
		far.drop()
	case 1:
		far.sayClose(1000, "")
	}
}

func (h *hall) judge(t *testing.T) {
	close(h.release)
	late := time.After(patience)
	for i := range h.all {
		select {
		case <-h.came:
		case <-late:
			t.Fatalf("%d messages of %d were heard", i, h.all)
		}
	}
	for id, said := range h.said {
		if !slices.Equal(h.heard[id], said) {
			t.Errorf("%d messages were heard, not the %d that were said in their order", len(h.heard[id]), len(said))
		}
	}
}

func TestWhatManySayAtOnceIsHeardWholeAndInOrder(t *testing.T) {
	sizes := []int{0, 20, 300, 1000, 1010, 1016, 1017, 1020, 1024, 2048, 5000}
	for _, cfg := range []socket.Config{{}, {OneByOne: true}} {
		t.Run(fmt.Sprintf("one by one: %v", cfg.OneByOne), func(t *testing.T) {
			h := newHall(t, cfg)
			for range 300 {
				texts := make([]string, 1+rand.IntN(5))
				for i := range texts {
					texts[i] = fmt.Sprintf("%d ", i) + big(sizes[rand.IntN(len(sizes))])
				}
				h.say(t, texts, rand.IntN(4))
			}
			h.judge(t)
		})
	}
}

func TestARingThatFailsToReadIsGivenUpAndNothingIsMissed(t *testing.T) {
	log := &lines{}
	h := newHall(t, socket.Config{Logger: slog.New(slog.NewTextHandler(log, nil))})
	made := spoilRings(t)
	for i := range 100 {
		h.say(t, []string{fmt.Sprint(i), big(3000)}, 2)
	}
	h.judge(t)
	if told, loops := log.count("read one by one"), runtime.GOMAXPROCS(0); made > 0 && told != loops {
		t.Errorf("%d lines were logged, want one of each of %d loops", told, loops)
	}
}
