package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/fleetline/fleetline/wire"
)

// savedWithin is how long a processed position may take to be stored.
const savedWithin = 3 * time.Second

func storeCases() []Case {
	return []Case{
		{Name: "store/restart", Why: "A program that ends goes on behind what it has processed when it starts again.", Play: aRestartGoesOn},
		{Name: "store/killed", Why: "What is stored never runs ahead of the program: a message that was being worked on is given again.", Play: whatIsStoredNeverRunsAhead, Long: true},
		{Name: "store/killed-at-once", Why: "kill -9 between message and position: at worst a message comes twice, never not at all.", Play: aKillLosesNothing},
		{Name: "store/private", Why: "What is stored is for its owner's eyes alone.", Play: theStateIsPrivate},
	}
}

// forget removes a file of the state folder.
func (st *stage) forget(name string) {
	if err := os.Remove(name); err != nil {
		st.fail("emptying the state folder: " + err.Error())
	}
}

func aRestartGoesOn(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{Seq: 4})
	l.data(5, `0`)
	l.data(9, `0`)
	p.shows(5, 9)
	l.ping(9)
	l.pong()
	p.stop()
	p.ends(0, "closed")
	p = st.start()
	l = st.auth()
	st.check(position(l.auth) == "e1:9", "after a restart the position is %s, want e1:9", position(l.auth))
	l.welcome(wire.Welcome{Seq: 9, Recovered: true})
	l.data(9, `0`)
	l.data(10, `0`)
	p.shows(10)
}

func whatIsStoredNeverRunsAhead(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{Seq: 4})
	l.data(5, `0`)
	l.data(7, `{"holdMs":60000}`)
	p.shows(5, 7)
	l.data(8, `0`)
	l.ping(12)
	l.pong()
	st.pause(savedWithin)
	p.kill()
	p = st.start()
	l = st.auth()
	st.check(position(l.auth) == "e1:5", "killed while it worked on 7, the program came back with %s, want e1:5", position(l.auth))
	l.welcome(wire.Welcome{Seq: 5, Recovered: true})
	l.data(7, `0`)
	l.data(8, `0`)
	p.shows(7, 8)
}

func aKillLosesNothing(st *stage) {
	p := st.start()
	l := st.letIn(wire.Welcome{Seq: 4})
	l.data(5, `0`)
	p.shows(5)
	p.kill()
	p = st.start()
	l = st.auth()
	at := l.auth.LastSeq
	st.check(at == nil || *at <= 5, "the position %s is ahead of all that came", position(l.auth))
	if at != nil {
		l.welcome(wire.Welcome{Seq: *at, Recovered: true})
	} else {
		l.welcome(wire.Welcome{Seq: 4})
	}
	l.data(6, `0`)
	p.shows(6)
}

func theStateIsPrivate(st *stage) {
	st.check(runtime.GOOS != "windows", "this case is for systems with file modes")
	p := st.start()
	st.letIn(wire.Welcome{})
	p.isState("connected")
	p.stop()
	p.ends(0, "closed")
	err := filepath.WalkDir(st.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			st.check(info.Mode().Perm()&0o077 == 0, "%s has the mode %v", filepath.Base(name), info.Mode())
		}
		return err
	})
	st.check(err == nil, "reading the state folder: %v", err)
	st.check(len(st.stored()) > 0, "nothing is stored")
}
