package broker

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// What a test can see of a sync is that it finds the bucket's files where this server keeps them.
func TestABucketIsFoundAndHandedToTheDisk(t *testing.T) {
	b := open(t, Config{Dir: t.TempDir()})
	kv, err := b.JetStream().CreateKeyValue(context.Background(), jetstream.KeyValueConfig{Bucket: "kept", MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(context.Background(), "key", "value"); err != nil {
		t.Fatal(err)
	}
	if err := b.SyncBucket("kept"); err != nil {
		t.Error(err)
	}
	if b.SyncBucket("none") == nil {
		t.Error("a bucket that does not exist was synced")
	}
}

func TestABlockIsSyncedAgainWhenItHasChangedAndTheFolderWhenThereIsAnother(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("1.blk", "one")
	write("2.blk", "two")
	write("index.db", "no block")
	before, err := blocksIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what      string
		do        func()
		changed   []string
		areOthers bool
	}{
		{"nothing", func() {}, nil, false},
		{"a longer block", func() { write("2.blk", "two and more") }, []string{"2.blk"}, false},
		{"a new block", func() { write("3.blk", "three") }, []string{"3.blk"}, true},
		{"a block in place of another", func() {
			write("1.tmp", "new")
			if err := os.Rename(filepath.Join(dir, "1.tmp"), filepath.Join(dir, "1.blk")); err != nil {
				t.Fatal(err)
			}
		}, []string{"1.blk"}, true},
		{"a block less", func() {
			if err := os.Remove(filepath.Join(dir, "3.blk")); err != nil {
				t.Fatal(err)
			}
		}, nil, true},
	} {
		c.do()
		now, err := blocksIn(dir)
		if err != nil {
			t.Fatal(err)
		}
		changed, areOthers := compareBlocks(before, now)
		if !slices.Equal(changed, c.changed) || areOthers != c.areOthers {
			t.Errorf("%s: changed %v, others %t", c.what, changed, areOthers)
		}
		before = now
	}
	if changed, areOthers := compareBlocks(nil, before); len(changed) != 2 || !areOthers {
		t.Errorf("at first: changed %v, others %t", changed, areOthers)
	}
}
