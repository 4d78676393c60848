package main

import (
	"fmt"
	"syscall"
	"unsafe"
)

// sigactionWords is the kernel's struct sigaction on 64-bit Linux: handler, flags,
// restorer, mask.
type sigactionWords [4]uintptr

// defaultSIGCHLD gives this process what a C program starts with: no SIGCHLD
// handler. The Go runtime catches every signal and signal.Reset keeps that handler,
// so it takes the bare system call. While the disposition is the default a SIGCHLD
// is dropped when it is sent, so none is ever pending. The returned function puts
// the runtime's handler back.
func defaultSIGCHLD() (restore func() error, err error) {
	var old sigactionWords
	if err := sigaction(&sigactionWords{}, &old); err != nil {
		return nil, err
	}
	return func() error { return sigaction(&old, nil) }, nil
}

func sigaction(set, old *sigactionWords) error {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGCHLD),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), unsafe.Sizeof(uint64(0)), 0, 0)
	if errno != 0 {
		return fmt.Errorf("setting the SIGCHLD disposition: %w", errno)
	}
	return nil
}
