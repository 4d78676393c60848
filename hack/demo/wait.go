//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// pause between two looks at a condition: short beside what is waited for, long beside a kubectl's start.
const pause = time.Second

// until looks again and again until nothing is missing. When its time is up, the error says what still is.
func until(ctx context.Context, within time.Duration, look func(context.Context) (missing string, err error)) error {
	deadline := time.Now().Add(within)
	for {
		missing, err := look(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && missing == "":
			return nil
		case err != nil: // a busy API server may answer the next time
			missing = err.Error()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %s still waiting: %s", within, missing)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
