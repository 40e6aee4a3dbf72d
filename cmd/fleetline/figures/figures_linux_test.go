package figures

import "testing"

func TestLinuxTellsEveryFigure(t *testing.T) {
	f := Read()
	if f.Load1 == nil || f.MemUsedBytes == nil || *f.MemUsedBytes == 0 {
		t.Errorf("load or memory is missing: %+v", f)
	}
}

func TestFiguresAreReadFromWhatTheKernelPrints(t *testing.T) {
	if load := load1("0.52 0.58 0.59 1/467 12345\n"); load == nil || *load != 0.52 {
		t.Errorf("load is %v, want 0.52", load)
	}
	used := memUsed("MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    400 kB\n")
	if used == nil || *used != 600<<10 {
		t.Errorf("used memory is %v, want %d", used, 600<<10)
	}
	rx, tx := traffic(`Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1000 1 0 0 0 0 0 0 1000 1 0 0 0 0 0 0
  eth0: 20 1 0 0 0 0 0 0 3 1 0 0 0 0 0 0
 wlan0:400 1 0 0 0 0 0 0 50 1 0 0 0 0 0 0
`)
	if rx == nil || tx == nil || *rx != 420 || *tx != 53 {
		t.Errorf("traffic is %v %v, want 420 and 53", rx, tx)
	}
}

func TestWhatTheKernelDoesNotTellIsLeftOut(t *testing.T) {
	rx, tx := traffic("")
	for name, missing := range map[string]bool{
		"load": load1("") == nil, "memory": memUsed("MemTotal: 1 kB\n") == nil, "traffic": rx == nil && tx == nil,
	} {
		if !missing {
			t.Errorf("%s was made up", name)
		}
	}
}
