package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/broker"
)

func to(machine string) api.Target { return api.Target{Machine: machine} }

func TestAMessageIsStoredForItsTargetAndNoOther(t *testing.T) {
	d, ctx := openDoor(t), t.Context()
	k, other := d.account(), d.account()
	mine, stranger := d.enrol(k, "h1")[0], d.enrol(other, "h1")[0]
	send := func(m api.Message) api.Receipt {
		t.Helper()
		r, err := d.Publish(ctx, m)
		if err != nil {
			t.Fatalf("publishing %+v: %v", m, err)
		}
		return r
	}
	first := send(api.Message{To: to(mine), Data: []byte(`{"n":"<1>"}`), ID: "one"})
	second := send(api.Message{To: api.Target{Account: k.ID}, Data: []byte(`2`), TTLSeconds: 3600})
	third := send(api.Message{To: api.Target{All: true}, Data: []byte(`null`), Mode: api.Stored})
	send(api.Message{To: to(stranger), Data: []byte(`4`)})
	if first.ID != "one" || first.Epoch != d.broker.Epoch() || second.Seq <= first.Seq || third.Seq <= second.Seq || second.ID == "" {
		t.Errorf("receipts: %+v, %+v, %+v", first, second, third)
	}
	again := send(api.Message{To: to(mine), Data: []byte(`{"n":"<1>"}`), ID: "one"})
	if again.Seq != first.Seq || !again.Duplicate {
		t.Errorf("publishing the same id again: %+v, want the position %d", again, first.Seq)
	}
	h, err := d.History(ctx, mine, 0, 0)
	if err != nil || h.Epoch != first.Epoch || h.Next != 0 || len(h.Messages) != 3 {
		t.Fatalf("the history is %+v and %v", h, err)
	}
	want := []api.StoredMessage{
		{Seq: first.Seq, ID: "one", To: to(mine), Data: []byte(`{"n":"<1>"}`)},
		{Seq: second.Seq, To: api.Target{Account: k.ID}, Data: []byte(`2`)},
		{Seq: third.Seq, To: api.Target{All: true}, Data: []byte(`null`)},
	}
	for i, m := range h.Messages {
		if w := want[i]; m.Seq != w.Seq || m.ID != w.ID || m.To != w.To || string(m.Data) != string(w.Data) {
			t.Errorf("message %d is %+v, want %+v", i, m, w)
		}
	}
}

func TestAHistoryIsReadInParts(t *testing.T) {
	d, ctx := openDoor(t), t.Context()
	id := d.enrol(d.account(), "h1")[0]
	big := []byte(`"` + strings.Repeat("x", 250<<10) + `"`)
	for i := range 70 {
		m := api.Message{To: to(id), Data: []byte(fmt.Sprint(i))}
		if i >= 40 {
			m.Data = big
		}
		if _, err := d.Publish(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int{7, 1000} {
		after, total, parts := uint64(0), 0, 0
		for {
			h, err := d.History(ctx, id, after, limit)
			if err != nil || len(h.Messages) > limit {
				t.Fatalf("limit %d: %d messages and %v", limit, len(h.Messages), err)
			}
			for _, m := range h.Messages {
				if m.Seq <= after {
					t.Fatalf("limit %d: position %d follows %d", limit, m.Seq, after)
				}
				after = m.Seq
			}
			total, parts = total+len(h.Messages), parts+1
			if h.Next == 0 {
				break
			}
			after = h.Next
		}
		if total != 70 || limit == 1000 && parts < 2 {
			t.Errorf("limit %d: %d messages in %d parts, want 70 with no part much over 4 MiB", limit, total, parts)
		}
	}
}

func TestALiveMessageHasNoPositionAndIsNotKept(t *testing.T) {
	d, ctx := openDoor(t), t.Context()
	id := d.enrol(d.account(), "h1")[0]
	r, err := d.Publish(ctx, api.Message{To: to(id), Data: []byte(`1`), Mode: api.Live})
	if err != nil || r.Seq != 0 {
		t.Errorf("got %+v and %v", r, err)
	}
	if h, err := d.History(ctx, id, 0, 0); err != nil || len(h.Messages) != 0 {
		t.Errorf("the history is %+v and %v, want nothing", h, err)
	}
}

func TestNothingIsStoredForATargetThatDoesNotExist(t *testing.T) {
	d, ctx := openDoor(t), t.Context()
	k := d.account()
	deleted := d.enrol(k, "h1")[0]
	if err := d.DeleteMachine(ctx, deleted); err != nil {
		t.Fatal(err)
	}
	start := storeOne(t, d)
	for target, want := range map[api.Target]api.Code{
		to("mch_unknown"):         api.CodeMachineNotFound,
		to("*"):                   api.CodeMachineNotFound,
		to(deleted):               api.CodeMachineNotFound,
		{Account: "acc_none"}:     api.CodeAccountNotFound,
		{Account: ">"}:            api.CodeAccountNotFound,
		{}:                        api.CodeInvalidRequest,
		{All: true, Machine: "m"}: api.CodeInvalidRequest,
	} {
		for _, mode := range []api.Mode{api.Stored, api.Live} {
			if _, err := d.Publish(ctx, api.Message{To: target, Data: []byte(`1`), Mode: mode}); !errors.Is(err, want) {
				t.Errorf("%s to %+v: got %v, want %s", mode, target, err, want)
			}
		}
	}
	if _, err := d.History(ctx, deleted, 0, 0); !errors.Is(err, api.CodeMachineNotFound) {
		t.Errorf("the history of a deleted machine: %v", err)
	}
	all, _, err := d.broker.History(ctx, deleted, k.ID, start, 10)
	if err != nil || len(all) != 0 {
		t.Errorf("%d messages were stored (%v), want none", len(all), err)
	}
}

// storeOne stores one message and says where.
func storeOne(t *testing.T, d *door) uint64 {
	t.Helper()
	r, err := d.broker.Publish(t.Context(), broker.Message{Data: json.RawMessage(`0`)})
	if err != nil {
		t.Fatal(err)
	}
	return r.Seq
}

func TestDataThatDoesNotFitAFrameIsRefusedAndLessIsTaken(t *testing.T) {
	d, ctx := openDoor(t), t.Context()
	for size, want := range map[int]error{900 << 10: nil, 1 << 20: api.CodeDataTooLarge, 3 << 20: api.CodeDataTooLarge} {
		_, err := d.Publish(ctx, api.Message{To: api.Target{All: true}, Data: []byte(`"` + strings.Repeat("x", size-2) + `"`)})
		if want == nil && err != nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%d bytes: got %v, want %v", size, err, want)
		}
	}
}

func TestWhatTheLogSaysIsSaidToThePublisher(t *testing.T) {
	for cause, want := range map[error]api.Code{
		broker.ErrFull: api.CodeStoreFull, broker.ErrUnavailable: api.CodeBrokerUnavailable,
		broker.ErrClosed: api.CodeBrokerUnavailable, broker.ErrTooLarge: api.CodeDataTooLarge,
	} {
		d := openDoor(t, func(c *Config) { c.Publisher = away{c.Publisher, fmt.Errorf("publishing: %w", cause)} })
		all := api.Message{To: api.Target{All: true}, Data: []byte(`1`)}
		if _, err := d.Publish(t.Context(), all); !errors.Is(err, want) {
			t.Errorf("%v: got %v, want %s", cause, err, want)
		}
		s := d.stream()
		s.send(all)
		if r := s.receive(); !errors.Is(r.Err(), want) || r.Line != 1 {
			t.Errorf("%v on a stream: got %+v, want %s", cause, r, want)
		}
	}
}

func TestADirectoryThatIsClosedStoresNothingAndDeniesNothing(t *testing.T) {
	d, ctx := openDoor(t), t.Context()
	k := d.account()
	id := d.enrol(k, "h1")[0]
	d.dir.Close()
	_, show := d.Machine(ctx, id)
	_, list := d.MachinePage(ctx, api.MachineQuery{})
	_, publish := d.Publish(ctx, api.Message{To: to(id), Data: []byte(`1`)})
	_, toAccount := d.Publish(ctx, api.Message{To: api.Target{Account: k.ID}, Data: []byte(`1`)})
	_, accounts := d.Accounts(ctx)
	for i, err := range []error{show, list, publish, toAccount, accounts} {
		if !errors.Is(err, api.CodeDirectoryUnavailable) {
			t.Errorf("call %d: got %v, want %s", i, err, api.CodeDirectoryUnavailable)
		}
	}
	if _, err := d.Publish(ctx, api.Message{To: api.Target{All: true}, Data: []byte(`1`)}); err != nil {
		t.Errorf("a message for all needs no directory: %v", err)
	}
}

func TestAStoppedLogChangesNothingAndSaysSo(t *testing.T) {
	d, ctx := openDoor(t), t.Context()
	k := d.account()
	id := d.enrol(k, "h1")[0]
	d.broker.Close()
	_, add := d.AddAccount(ctx, "late")
	_, rotate := d.RotateKey(ctx, k.ID, 0)
	for i, err := range []error{add, rotate, d.DeleteMachine(ctx, id), d.ReadmitMachine(ctx, id), d.DeleteAccount(ctx, k.ID)} {
		if !errors.Is(err, api.CodeDirectoryUnavailable) {
			t.Errorf("call %d: got %v, want %s", i, err, api.CodeDirectoryUnavailable)
		}
	}
	if _, err := d.Publish(ctx, api.Message{To: api.Target{All: true}, Data: []byte(`1`)}); !errors.Is(err, api.CodeBrokerUnavailable) {
		t.Errorf("publishing: got %v, want %s", err, api.CodeBrokerUnavailable)
	}
}
