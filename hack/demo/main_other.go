//go:build !linux

// Command demo runs on Linux only: its cluster is made of namespaces of the Linux kernel.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "demo: this needs Linux; use a Linux machine or virtual machine")
	os.Exit(1)
}
