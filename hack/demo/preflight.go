//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// checkMachine refuses at once what would fail in the middle. What the cluster needs besides, zcluster checks itself.
func checkMachine() error {
	if os.Geteuid() != 0 {
		return errors.New(`checking rights: this makes namespaces and mounts and must run as root (with sudo: sudo env PATH="$PATH" make ...)`)
	}
	for _, file := range []string{"Makefile", "charts/zombie-operator", "hack/cluster", manifests} {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("%s is not here; run it from the top of the repository: make demo", file)
		}
	}
	for _, program := range []string{"go", "make"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is not on the PATH of root; install it, or keep yours (with sudo: sudo env PATH=\"$PATH\" make demo)", program)
		}
	}
	return nil
}
