package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"
)

// batches says how much a tree leaks, how often, and under which name.
type batches struct {
	count int
	every time.Duration
	max   int
	child string
}

var errNoCount = errors.New("it must be 1 or more")

func batchFlags(fs *flag.FlagSet, def batches) *batches {
	b := &def
	b.count = def.count
	fs.Func("count", fmt.Sprintf("zombies to make at once, 1 or more (default %d)", def.count), func(s string) (err error) {
		if b.count, err = strconv.Atoi(s); err == nil && b.count < 1 {
			err = errNoCount
		}
		return err
	})
	fs.DurationVar(&b.every, "every", def.every, "make as many again this often; 0: never")
	// A pod forgotten on somebody's node must not fill its PID table (32768 on many).
	fs.IntVar(&b.max, "max", 1000, "make no more once the next batch would exceed this many")
	fs.StringVar(&b.child, "child", def.child, "command name of the dead")
	return b
}

// args are the flags that hand the same batches on to a copy of this binary.
func (b *batches) args() []string {
	return []string{
		fmt.Sprintf("-count=%d", b.count), fmt.Sprintf("-every=%s", b.every),
		fmt.Sprintf("-max=%d", b.max), "-child=" + b.child,
	}
}

// leak makes the batches and stays. A failing fork ends the tree only before it
// was ready: later it says so and goes on, as the programs in the field do.
func (b *batches) leak(leave func(n int) (int, error)) error {
	total, err := leave(b.count)
	if err != nil {
		return err
	}
	sayReady(total)
	if b.every <= 0 {
		select {}
	}
	for range time.Tick(b.every) {
		if total+b.count > b.max {
			continue
		}
		n, err := leave(b.count)
		if err != nil {
			fmt.Fprintf(os.Stderr, "leaving %d more: %v\n", b.count, err)
		}
		total += n
	}
	return nil
}
