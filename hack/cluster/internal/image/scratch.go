// Package image makes container images: one from a single static binary, by hand, and any from a Dockerfile, by buildah.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
)

// FromBinary writes a docker archive whose only file is the binary.
// By hand, since the sandbox image must exist before anything else and should not need buildah.
func FromBinary(binary, tag, archive string) error {
	program, err := os.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("reading the program of an image: %w", err)
	}
	layer, err := tarOf(file{"entrypoint", program, 0o755})
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/entrypoint"}, "User": "65535:65535"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	if err != nil {
		return fmt.Errorf("encoding an image config: %w", err)
	}
	manifest, err := json.Marshal([]map[string]any{{
		"Config": "config.json", "RepoTags": []string{tag}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return fmt.Errorf("encoding an image manifest: %w", err)
	}
	image, err := tarOf(file{"config.json", config, 0o644}, file{"layer.tar", layer, 0o644}, file{"manifest.json", manifest, 0o644})
	if err != nil {
		return err
	}
	if err := os.WriteFile(archive, image, 0o644); err != nil {
		return fmt.Errorf("writing an image archive: %w", err)
	}
	return nil
}

type file struct {
	name    string
	content []byte
	mode    int64
}

func tarOf(files ...file) ([]byte, error) {
	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content)), Format: tar.FormatPAX}
		if err := writer.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("packing %s: %w", f.name, err)
		}
		if _, err := writer.Write(f.content); err != nil {
			return nil, fmt.Errorf("packing %s: %w", f.name, err)
		}
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("packing an image: %w", err)
	}
	return buffer.Bytes(), nil
}
