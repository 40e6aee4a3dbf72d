//go:build unix

package embedded

import (
	"testing"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"golang.org/x/sys/unix"
)

// One operation is one machine that was seen, in batches of 5,000.
func BenchmarkSeen(b *testing.B) {
	d := openOn(b, dial(b, newStore(b)), func(c *Config) { c.BucketBytes = 1 << 30 })
	ids := enrolMany(b, d, addAccount(b, d, "key"), 5000)
	at := time.Now()
	began := cpu()
	b.ResetTimer()
	for n := 0; n < b.N; n += len(ids) {
		at = at.Add(seenWithin)
		news := make([]directory.Seen, min(len(ids), b.N-n))
		for i := range news {
			news[i] = directory.Seen{MachineID: ids[i], At: at}
		}
		if err := d.Machines().Seen(b.Context(), news); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu()-began).Nanoseconds())/1000/float64(b.N), "us-CPU/op")
}

func cpu() time.Duration {
	var used unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &used)
	return time.Duration(unix.TimevalToNsec(used.Utime) + unix.TimevalToNsec(used.Stime))
}
