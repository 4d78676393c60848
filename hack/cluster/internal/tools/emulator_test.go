package tools

import "testing"

func TestOnlyTheKernelIsWantedOfWhatAKernelNeeds(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"linux-image-6.1.0-56-cloud-amd64": true, "linux-base": false, "initramfs-tools": false, "libkmod2": false,
	} {
		if got := isKernel(name); got != want {
			t.Errorf("isKernel(%q) is %t", name, got)
		}
	}
}
