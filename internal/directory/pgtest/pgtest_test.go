package pgtest

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(Main(m)) }

func TestEveryTestHasADatabaseOfItsOwn(t *testing.T) {
	one, two := Shared(t).Database(t), Shared(t).Database(t)
	one.Exec(t, `create table mine (id int); insert into mine values (7)`)
	if n := Get[int](t, one, `select id from mine`); n != 7 {
		t.Errorf("read %d", n)
	}
	if Get[bool](t, two, `select to_regclass('mine') is not null`) {
		t.Error("the other database has the table too")
	}
}

func TestAServerOutlivesItsOutages(t *testing.T) {
	s := Start(t, "wal_level=logical")
	d := s.Database(t)
	d.Exec(t, `create table kept (id int)`)
	s.Stop(t)
	s.Restart(t)
	if level := Get[string](t, d, `show wal_level`); level != "logical" {
		t.Errorf("wal_level is %s", level)
	}
	d.Exec(t, `insert into kept values (1)`)
}

func TestAStandbyFollows(t *testing.T) {
	s := Start(t)
	d := s.Database(t)
	if !Get[bool](t, s.Standby(t).On(d), `select pg_is_in_recovery()`) {
		t.Error("the standby is a primary")
	}
}

// BenchmarkStart is how long a test waits for a server of its own.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s, err := start()
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		s.remove()
		b.StartTimer()
	}
}
