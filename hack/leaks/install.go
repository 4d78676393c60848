package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// roles are the names under which the manifests start a tree.
func roles() []string {
	return []string{"repo-server", "webhook", "tini", "cron-runner", "invoicer", "sentinel", "launcher"}
}

// install writes the links of the image into DIR, beside the binary "leaks": done
// before the build, so that the Dockerfile runs nothing and scratch will do.
func install(args []string) error {
	flags := newFlags("install")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("usage: leaks install DIR")
	}
	dir := flags.Arg(0)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the directory for the links: %w", err)
	}
	names := roles()
	for _, t := range trees() {
		names = append(names, t.name)
	}
	for _, name := range names {
		link := filepath.Join(dir, name)
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("replacing a link: %w", err)
		}
		if err := os.Symlink("leaks", link); err != nil {
			return fmt.Errorf("linking a name: %w", err)
		}
	}
	return nil
}
