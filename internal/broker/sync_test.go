package broker

import (
	"context"
	"strings"
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
	if err := b.SyncBucket("none"); err == nil || !strings.Contains(err.Error(), "no blocks") {
		t.Errorf("a bucket that does not exist: %v", err)
	}
}
