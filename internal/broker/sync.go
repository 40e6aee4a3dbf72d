package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// SyncBucket hands what stands in a key-value bucket to the disk itself and returns when it is there.
// A deletion must outlive a power failure; messages wait for the disk only with SyncAlways. It costs
// about what one synced publish does, for the blocks that did not change cost nothing.
func (b *Broker) SyncBucket(name string) error {
	if b.cfg.SyncAlways {
		return nil
	}
	dir := filepath.Join(b.engine.dir, "jetstream", "$G", "streams", "KV_"+name, "msgs")
	blocks, err := filepath.Glob(filepath.Join(dir, "*.blk"))
	if err == nil && len(blocks) == 0 {
		err = errors.New("it has no blocks")
	}
	for _, block := range blocks {
		// The store may drop a block meanwhile, after moving what is left of it to another.
		if e := syncFile(block); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	if err = errors.Join(err, syncDir(dir)); err != nil {
		return fmt.Errorf("syncing bucket %s: %w", name, err)
	}
	return nil
}
