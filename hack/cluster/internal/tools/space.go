package tools

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// checkSpace refuses a build that would end minutes later in "no space left on device".
func checkSpace(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("creating the binary directory: %w", err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("measuring the free space of %s: %w", dir, err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < coldBuildSpace {
		return fmt.Errorf("%s has %.1f GiB free, the build needs 3: free some, or set ZOMBIE_CACHE to another disk", dir, float64(free)/(1<<30))
	}
	return nil
}
