package bench

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantilesOfAHistogramAreThoseOfTheSortedValues(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var h histogram
	var values []time.Duration
	for range 100_000 {
		d := time.Duration(math.Exp(r.Float64() * 25)) // 1 ns to more than a minute
		values = append(values, d)
		h.record(d)
	}
	slices.Sort(values)
	for _, q := range []float64{0.001, .01, .5, .9, .99, .999, 1} {
		want := values[int(math.Ceil(q*float64(len(values))))-1]
		got := h.quantile(q)
		if math.Abs(float64(got-want)) > float64(want)/fine+1 {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
	if h.max != values[len(values)-1] {
		t.Errorf("the greatest is %d, want %d", h.max, values[len(values)-1])
	}
}

func TestEveryLengthOfTimeHasABucketThatStandsForIt(t *testing.T) {
	last := -1
	for _, d := range []time.Duration{-1, 0, 1, 127, 128, 255, 256, 257, 511, 512, 1e3, 1e6, 1e9, math.MaxInt64} {
		b := bucketOf(d)
		if b < last || b > int(maxBucket) {
			t.Errorf("%d falls into bucket %d, after bucket %d", d, b, last)
		}
		last = b
		if back := bucketOf(middleOf(b)); back != b {
			t.Errorf("%d falls into bucket %d, its middle into %d", d, b, back)
		}
	}
}

func TestHistogramsOfManyProcessesAddUp(t *testing.T) {
	var whole, sum histogram
	for part := range 3 {
		var h, read histogram
		for i := range 1000 {
			d := time.Duration(i*i*i + part)
			h.record(d)
			whole.record(d)
		}
		text, err := json.Marshal(&h)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		sum.merge(&read)
	}
	if sum.n != whole.n || sum.max != whole.max || !slices.Equal(sum.buckets, whole.buckets) {
		t.Errorf("the sum has %d values up to %d, want %d up to %d", sum.n, sum.max, whole.n, whole.max)
	}
}

func TestAHistogramOfNothingIsZero(t *testing.T) {
	var h histogram
	if h.quantile(.5) != 0 || h.max != 0 {
		t.Errorf("got %d and %d", h.quantile(.5), h.max)
	}
}

func TestABucketThatIsNoneIsRefused(t *testing.T) {
	var h histogram
	if err := json.Unmarshal([]byte(`{"max":1,"buckets":[[1000000000000,1]]}`), &h); err == nil {
		t.Error("it was taken")
	}
}

func TestTheSlopeIsWhatEachMachineAdds(t *testing.T) {
	got := slope([]point{{1000, 50_000_000 + 1000*700}, {5000, 50_000_000 + 5000*700}, {15000, 50_000_000 + 15000*700}})
	if math.Abs(got-700) > 0.001 {
		t.Errorf("got %v, want 700", got)
	}
	if got := slope([]point{{1000, 1}}); got != 0 {
		t.Errorf("the slope of one point is %v", got)
	}
}

func TestTheMedianIsTheMiddle(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 9, 2}, 3}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median(%v) is %v, want %v", c.values, got, c.want)
		}
	}
}
