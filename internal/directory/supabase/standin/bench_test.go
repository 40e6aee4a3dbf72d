package standin

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/fleetline/fleetline/internal/directory/pgtest"
)

// BenchmarkStart is a project's start and end on a running database.
func BenchmarkStart(b *testing.B) {
	d := pgtest.Shared(b).Database(b)
	for b.Loop() {
		StartWith(b, d.URL, Config{}).close()
	}
}

// BenchmarkSweep is one request for 150 ids among 15,000, from many at once.
func BenchmarkSweep(b *testing.B) {
	d := pgtest.Shared(b).Database(b)
	d.Exec(b, userTable+`insert into "user" select i, 'key' || i from generate_series(1, 15000) i`)
	p := Start(b, d.URL)
	url := p.URL + "/rest/v1/user?select=id,apikey&id=in.(1" + strings.Join(func() (ids []string) {
		for i := range 149 {
			ids = append(ids, fmt.Sprint(",", i*100+2))
		}
		return ids
	}(), "") + ")"
	client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := http.NewRequestWithContext(b.Context(), "GET", url, nil)
			if err != nil {
				b.Fatal(err)
			}
			r.Header.Set("apikey", p.Keys().Secret)
			response, err := client.Do(r)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			if response.StatusCode != 200 {
				b.Fatal(response.Status)
			}
		}
	})
}
