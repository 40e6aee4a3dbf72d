package admin

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fleetline/fleetline/api"
)

func TestTheLastHourIsKeptInSamples(t *testing.T) {
	var h lastHour
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range samplesKept + 10 {
		h.take(at.Add(time.Duration(i)*sampleEvery), i, Counts{Delivered: uint64(i * 1000), Admitted: uint64(i * 50)})
	}
	list := h.list()
	if len(list) != samplesKept || list[0].MachinesOnline != 10 || list[samplesKept-1].MachinesOnline != samplesKept+9 {
		t.Fatalf("%d samples, from %+v", len(list), list[0])
	}
	if s := list[5]; s.MessagesPerSecond != 100 || s.AuthsPerSecond != 5 {
		t.Errorf("rates are %+v", s)
	}
	var fresh lastHour
	fresh.take(at, 3, Counts{Delivered: 1 << 40})
	if s := fresh.list()[0]; s.MessagesPerSecond != 0 || s.MachinesOnline != 3 {
		t.Errorf("the first sample is %+v", s)
	}
}

func TestTheFramesOfAMachineAreSeenAsTheyAreHandedOut(t *testing.T) {
	d, ctx := openDoor(t), t.Context()
	k := d.account()
	id := d.enrol(k, "h1", "h2")
	r, err := http.NewRequestWithContext(ctx, "GET", d.url+"/v1/machines/"+id[0]+"/frames", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+testToken)
	stream, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "retry:") {
		t.Fatalf("it begins with %q", lines.Text())
	}
	for _, m := range []api.Message{
		{To: api.Target{Machine: id[1]}, Data: json.RawMessage(`"another machine's"`)},
		{To: api.Target{Machine: id[0]}, Data: json.RawMessage(`"its own"`)},
		{To: api.Target{Account: k.ID}, Data: json.RawMessage(`"its account's"`)},
		{To: api.Target{All: true}, Data: json.RawMessage(`"for all"`)},
	} {
		if _, err := d.Publish(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	var seen []string
	for len(seen) < 3 && lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var m api.StoredMessage
			if err := json.Unmarshal([]byte(text), &m); err != nil || m.Seq == 0 {
				t.Fatalf("%s: %v", text, err)
			}
			seen = append(seen, string(m.Data))
		}
	}
	if got := strings.Join(seen, " "); got != `"its own" "its account's" "for all"` {
		t.Errorf("saw %s", got)
	}
	if answer, _ := d.browse("GET", "/v1/machines/mch_none/frames", "", nil, "Authorization", "Bearer "+testToken); answer.StatusCode != http.StatusNotFound {
		t.Errorf("of a machine that is not there: %s", answer.Status)
	}
}
