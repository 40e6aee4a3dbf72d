package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// onDisk is what each bucket's blocks looked like when they were last handed to the disk. A sync has the
// disk empty its cache even for a file that has not changed, so only those are synced that have.
type onDisk struct {
	mu sync.Mutex
	// Guarded by mu.
	blocks map[string]map[string]fs.FileInfo
}

func newOnDisk() *onDisk { return &onDisk{blocks: make(map[string]map[string]fs.FileInfo)} }

func (o *onDisk) of(bucket string) map[string]fs.FileInfo {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.blocks[bucket]
}

func (o *onDisk) keep(bucket string, blocks map[string]fs.FileInfo) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.blocks[bucket] = blocks
}

// SyncBucket hands what stands in a key-value bucket to the disk itself and returns when it is there.
// A deletion must outlive a power failure; messages wait for the disk only with SyncAlways. It costs
// about what one synced publish does.
func (b *Broker) SyncBucket(name string) error {
	if b.cfg.SyncAlways {
		return nil
	}
	dir := filepath.Join(b.engine.dir, "jetstream", "$G", "streams", "KV_"+name, "msgs")
	now, err := blocksIn(dir) // before they are synced: what is written meanwhile is a change
	if err == nil {
		err = syncChanged(dir, b.onDisk.of(name), now)
	}
	if err != nil {
		b.onDisk.keep(name, nil)
		return fmt.Errorf("syncing bucket %s: %w", name, err)
	}
	b.onDisk.keep(name, now)
	return nil
}

// blocksIn looks at every block in a folder.
func blocksIn(dir string) (map[string]fs.FileInfo, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	blocks := make(map[string]fs.FileInfo)
	for _, name := range names {
		if !strings.HasSuffix(name, ".blk") {
			continue
		}
		// The store may drop a block meanwhile, after moving what is left of it to another.
		info, err := os.Lstat(filepath.Join(dir, name))
		if err == nil {
			blocks[name] = info
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if len(blocks) == 0 {
		return nil, errors.New("it has no blocks")
	}
	return blocks, nil
}

// syncChanged syncs the blocks that are not what they were, and the folder if it has others.
func syncChanged(dir string, before, now map[string]fs.FileInfo) error {
	changed, areOthers := compareBlocks(before, now)
	for _, name := range changed {
		if err := syncFile(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if areOthers {
		return syncDir(dir)
	}
	return nil
}

// compareBlocks returns those that were written to since, and whether there are other files than before.
// A record always makes its block longer, so the time of a write may be coarse.
func compareBlocks(before, now map[string]fs.FileInfo) (changed []string, areOthers bool) {
	areOthers = len(before) != len(now)
	for name, info := range now {
		was := before[name]
		isSame := was != nil && os.SameFile(was, info)
		if !isSame || was.Size() != info.Size() || !was.ModTime().Equal(info.ModTime()) {
			changed = append(changed, name)
		}
		areOthers = areOthers || !isSame
	}
	return changed, areOthers
}
