package bench

import (
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"
)

// histogram counts lengths of time in buckets that are at most 1/128 of their value wide, so that
// any number of them takes little memory and histograms of many processes add up. The greatest is
// kept exactly.
type histogram struct {
	buckets []uint64
	n       uint64
	max     time.Duration
}

// fine is the number of buckets for each doubling of the value.
const fine = 128

func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	shift := max(0, bits.Len64(v)-bits.Len64(2*fine-1))
	return fine*shift + int(v>>shift)
}

// middleOf is the value that stands for a bucket.
func middleOf(bucket int) time.Duration {
	shift := max(0, bucket/fine-1)
	low := uint64(bucket-fine*shift) << shift
	return time.Duration(low + 1<<shift/2)
}

func (h *histogram) record(d time.Duration) {
	h.add(bucketOf(d), 1)
	h.max = max(h.max, d)
}

func (h *histogram) add(bucket int, count uint64) {
	if bucket >= len(h.buckets) {
		h.buckets = append(h.buckets, make([]uint64, bucket+1-len(h.buckets))...)
	}
	h.buckets[bucket] += count
	h.n += count
}

func (h *histogram) merge(other *histogram) {
	for bucket, count := range other.buckets {
		if count > 0 {
			h.add(bucket, count)
		}
	}
	h.max = max(h.max, other.max)
}

// quantile is the least value that a part q of all values does not exceed; 0 if there is none.
func (h *histogram) quantile(q float64) time.Duration {
	rank := max(1, uint64(math.Ceil(q*float64(h.n))))
	var seen uint64
	for bucket, count := range h.buckets {
		if seen += count; seen >= rank {
			return min(middleOf(bucket), h.max)
		}
	}
	return h.max
}

// bucket is a bucket on its way from a worker: its number and its count.
type bucket [2]uint64

type histogramJSON struct {
	Max     time.Duration `json:"max"`
	Buckets []bucket      `json:"buckets"`
}

// maxBucket is the last bucket that a length of time can fall into.
var maxBucket = uint64(bucketOf(math.MaxInt64))

// MarshalJSON writes the buckets that hold something.
func (h *histogram) MarshalJSON() ([]byte, error) {
	out := histogramJSON{Max: h.max}
	for i, count := range h.buckets {
		if count > 0 {
			out.Buckets = append(out.Buckets, bucket{uint64(i), count})
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *histogram) UnmarshalJSON(text []byte) error {
	var in histogramJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*h = histogram{max: in.Max}
	for _, b := range in.Buckets {
		if b[0] > maxBucket {
			return fmt.Errorf("bucket %d is none", b[0])
		}
		h.add(int(b[0]), b[1])
	}
	return nil
}

// median is the middle of a few values; 0 if there is none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// point is one measurement of memory at a number of machines.
type point struct{ machines, bytes float64 }

// slope is what each machine adds, by least squares.
func slope(points []point) float64 {
	var n, x, y, xx, xy float64
	for _, p := range points {
		n++
		x += p.machines
		y += p.bytes
		xx += p.machines * p.machines
		xy += p.machines * p.bytes
	}
	if d := n*xx - x*x; d != 0 {
		return (n*xy - x*y) / d
	}
	return 0
}
