package limit

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFiveFailuresAMinuteAreAllowedAndNoSixth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New[string](Config{Events: 5, Per: time.Minute})
		for n := range 5 {
			if ok, _ := k.Look("key"); !ok {
				t.Fatalf("failure %d is refused", n+1)
			}
			if ok, wait := k.Take("key"); !ok || wait != 0 {
				t.Fatalf("failure %d is refused for %v", n+1, wait)
			}
		}
		for range 3 { // refused ones do not count
			if ok, wait := k.Take("key"); ok || wait != 12*time.Second {
				t.Errorf("the sixth failure: %v, wait %v", ok, wait)
			}
		}
		if ok, _ := k.Take("other"); !ok {
			t.Error("another key is refused")
		}
		time.Sleep(12*time.Second - time.Nanosecond)
		if ok, wait := k.Look("key"); ok || wait != time.Nanosecond {
			t.Errorf("just before the time: %v, wait %v", ok, wait)
		}
		time.Sleep(time.Nanosecond)
		if ok, _ := k.Take("key"); !ok {
			t.Error("at the time it is refused")
		}
		if ok, _ := k.Take("key"); ok {
			t.Error("at the time two are allowed")
		}
	})
}

func TestLookingTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New[int](Config{Events: 1, Per: time.Hour})
		for range 100 {
			if ok, _ := k.Look(1); !ok {
				t.Fatal("looking took something")
			}
		}
		if k.Len() != 0 {
			t.Errorf("looking made %d keys remembered", k.Len())
		}
	})
}

func TestNobodyTakesMoreThanBurstAndRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{
			Events: rapid.IntRange(1, 50).Draw(t, "events"),
			Per:    time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "per")),
			Burst:  rapid.IntRange(1, 30).Draw(t, "burst"),
		}
		r := NewRate(c)
		var m Meter
		now := r.start
		var taken []time.Time
		for _, step := range rapid.SliceOfN(rapid.Int64Range(0, int64(c.Per)), 1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(step) / time.Duration(c.Events))
			look, _ := r.Look(m, now)
			ok, wait := r.Take(&m, now)
			if look != ok || ok != (wait == 0) {
				t.Fatalf("looking says %v, taking %v, wait %v", look, ok, wait)
			}
			if ok {
				taken = append(taken, now)
			} else if ok, _ := r.Look(m, now.Add(wait)); !ok {
				t.Fatal("after the wait it is refused")
			} else if ok, _ := r.Look(m, now.Add(wait-1)); ok {
				t.Fatal("before the wait is over it is allowed")
			}
		}
		for i := range taken {
			for j := i; j < len(taken); j++ {
				earned := float64(taken[j].Sub(taken[i])) / float64(c.Per) * float64(c.Events)
				if got := float64(j - i + 1); got > float64(c.Burst)+earned+1e-6 {
					t.Fatalf("%v taken in %v, burst %d, rate %d per %v", got, taken[j].Sub(taken[i]), c.Burst, c.Events, c.Per)
				}
			}
		}
	})
}

func TestQuietKeysAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New[int](Config{Events: 10, Per: time.Second, MaxKeys: 1 << 20})
		for n := range 100_000 {
			k.Take(n)
		}
		if k.Len() != 100_000 {
			t.Fatalf("%d of 100,000 busy keys are remembered", k.Len())
		}
		time.Sleep(time.Second)
		for n := range 100_000 {
			k.Take(1_000_000 + n)
			if n%100 == 99 {
				time.Sleep(100 * time.Millisecond)
			}
		}
		if k.Len() > 10_000 {
			t.Errorf("%d keys are remembered, a hundred are in use", k.Len())
		}
	})
}

func TestAFullTableShutsNobodyOutAndStaysBounded(t *testing.T) {
	const most = 64 * 32
	k := New[int](Config{Events: 1, Per: time.Hour, MaxKeys: most})
	for n := range 20 * most {
		if ok, _ := k.Take(n); !ok {
			t.Fatalf("new key %d is refused", n)
		}
	}
	if k.Len() > most {
		t.Errorf("%d keys are remembered, at most %d may be", k.Len(), most)
	}
}

func TestAMeterIsEightBytes(t *testing.T) {
	if size := unsafe.Sizeof(Meter{}); size != 8 {
		t.Errorf("a meter has %d bytes", size)
	}
}

func TestTakingAllocatesNothing(t *testing.T) {
	k := New[Addr](Config{Events: 1000, Per: time.Second})
	r := NewRate(Config{Events: 10, Per: time.Second, Burst: 20})
	addr := Address(netip.MustParseAddr("2001:db8::1"))
	var m Meter
	k.Take(addr)
	if n := testing.AllocsPerRun(1000, func() {
		k.Take(addr)
		k.Look(addr)
		r.Take(&m, time.Now())
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAnAddressCountsWithWhoeverSharesIt(t *testing.T) {
	tests := []struct{ addr, prefix string }{
		{"192.0.2.1", "192.0.2.1/32"},
		{"::ffff:192.0.2.1", "192.0.2.1/32"},
		{"0.0.0.0", "0.0.0.0/32"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"2001:db8:1:2::9", "2001:db8:1:2::/64"},
		{"2001:db8:1:3::9", "2001:db8:1:3::/64"},
		{"fe80::1%eth0", "fe80::/64"},
		{"::", "::/64"},
		{"::1", "::/64"},
	}
	for _, x := range tests {
		a := Address(netip.MustParseAddr(x.addr))
		if a.String() != x.prefix {
			t.Errorf("%s counts as %s, want %s", x.addr, a, x.prefix)
		}
	}
	if Address(netip.Addr{}) == Address(netip.MustParseAddr("::")) || Address(netip.Addr{}).Prefix().IsValid() {
		t.Error("no address counts as one that is")
	}
}

func FuzzAddress(f *testing.F) {
	f.Add([]byte{192, 0, 2, 1})
	f.Add(slices.Repeat([]byte{0xfe}, 16))
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, ok := netip.AddrFromSlice(b)
		if ok && !Address(addr).Prefix().Contains(addr.Unmap()) {
			t.Errorf("%v is not in %v", addr, Address(addr))
		}
	})
}

func TestPlacesAreBoundedPerKeyAndInAll(t *testing.T) {
	p := NewPlaces[string](2, 3)
	a1, _ := p.Enter("a")
	a2, _ := p.Enter("a")
	if _, ok := p.Enter("a"); ok || p.Has("a") {
		t.Error("a third of two places is taken")
	}
	b1, ok := p.Enter("b")
	if !ok || p.Has("c") {
		t.Error("the last place is refused, or there is one more")
	}
	a1()
	a1() // a place is given back once
	if !p.Has("a") || p.Taken() != 2 {
		t.Errorf("after giving one back, %d are taken", p.Taken())
	}
	a2()
	b1()
	if p.Taken() != 0 || len(p.taken) != 0 {
		t.Errorf("when all are given back, %d are taken and %d keys are remembered", p.Taken(), len(p.taken))
	}
}

func TestPlacesHoldWhenManyComeAndGo(t *testing.T) {
	p := NewPlaces[int](3, 10)
	var work sync.WaitGroup
	for n := range 16 {
		work.Go(func() {
			for range 1000 {
				if release, ok := p.Enter(n % 4); ok {
					if p.Taken() > 10 {
						t.Error("more than ten places are taken")
					}
					release()
				}
			}
		})
	}
	work.Wait()
	if p.Taken() != 0 {
		t.Errorf("%d places are taken at the end", p.Taken())
	}
}

func TestALimitThatMakesNoSensePanicsAtOnce(t *testing.T) {
	for _, make := range []func(){
		func() { NewRate(Config{Per: time.Second}) },
		func() { New[int](Config{Events: 1}) },
		func() { New[int](Config{Events: 1, Per: time.Second, Burst: -1}) },
		func() { NewPlaces[int](0, 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("it did not panic")
				}
			}()
			make()
		}()
	}
}

func BenchmarkTake(b *testing.B) {
	for _, keys := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			k := New[Addr](Config{Events: 10, Per: time.Second, Burst: 20})
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for n := 0; pb.Next(); n++ {
					k.Take(Addr{high: uint64(n % keys)})
				}
			})
		})
	}
}

func BenchmarkTakeOfNewKeysWhenFull(b *testing.B) {
	k := New[int](Config{Events: 1, Per: time.Hour, MaxKeys: 1 << 16})
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		k.Take(n)
		n++
	}
}

func BenchmarkMeter(b *testing.B) {
	r := NewRate(Config{Events: 10, Per: time.Second, Burst: 20})
	var m Meter
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		r.Take(&m, now)
	}
}
