package embedded

import (
	"fmt"
	"testing"

	"github.com/fleetline/fleetline/internal/directory"
)

func BenchmarkLookup(b *testing.B) {
	d := newDirectory(b)
	addAccount(b, d, "key")
	keys := []directory.Key{"key"}
	b.ReportAllocs()
	for b.Loop() {
		if d.Accounts().Lookup(b.Context(), keys)[0].Verdict != directory.Found {
			b.Fatal("not found")
		}
	}
}

func BenchmarkLookupOfAnUnknownKey(b *testing.B) {
	d := newDirectory(b)
	keys := []directory.Key{"key"}
	b.ReportAllocs()
	for b.Loop() {
		if d.Accounts().Lookup(b.Context(), keys)[0].Verdict != directory.NotFound {
			b.Fatal("found")
		}
	}
}

func BenchmarkCheckOfThousandMachines(b *testing.B) {
	d := newDirectory(b)
	ids := enrolMany(b, d, addAccount(b, d, "key"), 1000)
	b.ReportAllocs()
	for b.Loop() {
		if d.Machines().Check(b.Context(), ids)[999].Verdict != directory.Found {
			b.Fatal("not found")
		}
	}
}

func BenchmarkEnrolKnown(b *testing.B) {
	d := newDirectory(b)
	es := []directory.Enrolment{{AccountID: addAccount(b, d, "key"), Digest: directory.Key("key").Digest()}}
	b.ReportAllocs()
	for b.Loop() {
		if d.Machines().Enrol(b.Context(), es)[0].Verdict != directory.Found {
			b.Fatal("not found")
		}
	}
}

// One operation is one machine, in batches of 512.
func BenchmarkEnrolNew(b *testing.B) {
	d := openOn(b, dial(b, newStore(b)), func(c *Config) { c.BucketBytes = 1 << 30 })
	acc := addAccount(b, d, "key")
	n := 0
	for ; n < b.N; n += 512 {
		es := make([]directory.Enrolment, min(512, b.N-n))
		for i := range es {
			es[i] = directory.Enrolment{AccountID: acc, Info: &directory.MachineInfo{HWID: fmt.Sprint(n + i)}}
		}
		for _, a := range d.Machines().Enrol(b.Context(), es) {
			if a.Verdict != directory.Found {
				b.Fatal(a.Verdict)
			}
		}
	}
}

func BenchmarkDelete(b *testing.B) {
	d := openOn(b, dial(b, newStore(b)), func(c *Config) { c.BucketBytes = 1 << 30 })
	ids := enrolMany(b, d, addAccount(b, d, "key"), b.N)
	b.ResetTimer()
	for _, id := range ids {
		if err := d.Machines().Delete(b.Context(), id); err != nil {
			b.Fatal(err)
		}
	}
}

func enrolMany(b *testing.B, d *Directory, acc string, n int) []string {
	es := make([]directory.Enrolment, n)
	for i := range es {
		es[i] = directory.Enrolment{AccountID: acc, Info: &directory.MachineInfo{HWID: fmt.Sprint(i)}}
	}
	ids := make([]string, n)
	for i, a := range d.Machines().Enrol(b.Context(), es) {
		ids[i] = a.Machine.ID
	}
	return ids
}
