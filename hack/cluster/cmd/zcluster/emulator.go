//go:build linux

package main

import (
	"context"
	"encoding/json"
	"flag"
	"os"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/dirs"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/lock"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/tools"
)

func emulator(*flag.FlagSet) action {
	return func(ctx context.Context, _ []string) error {
		cache, err := dirs.FindCache()
		if err != nil {
			return err
		}
		log := newLog()
		unlock, err := lock.Take(ctx, log)
		if err != nil {
			return err
		}
		defer unlock()
		found, err := tools.FindEmulator(ctx, cache, log)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(found)
	}
}
