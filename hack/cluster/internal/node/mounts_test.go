package node

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMountPointsAreUnescaped(t *testing.T) {
	t.Parallel()
	const table = "27 1 254:0 / / rw - ext4 /dev/vda rw\n28 27 0:25 / /mnt/with\\040space ro - tmpfs t ro\nshort line\n"
	if diff := cmp.Diff([]string{"/", "/mnt/with space"}, parseMountPoints(table)); diff != "" {
		t.Error(diff)
	}
}
