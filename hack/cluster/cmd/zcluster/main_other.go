//go:build !linux

// Command zcluster runs on Linux only: its nodes are namespaces of the Linux kernel.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "zcluster: this needs Linux; use a Linux machine or virtual machine")
	os.Exit(1)
}
