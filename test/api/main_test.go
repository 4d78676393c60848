// Package api tests what the API server accepts and refuses: the CRDs in config/crd/bases on a real kube-apiserver
// and etcd, because defaulting, pruning, CEL and server-side apply exist nowhere else.
package api

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

const (
	crdDir     = "../../config/crd/bases"
	samplesDir = "../../config/samples"
	docsDir    = "../../docs"
	notes      = "../../charts/zombie-operator/templates/NOTES.txt"

	// startTimeout is several times what an idle machine needs, as the tests may share it with a cluster that starts.
	startTimeout = 2 * time.Minute
)

// server is the one API server of the package.
var server struct {
	config *rest.Config
	client client.Client
}

func TestMain(m *testing.M) {
	code, err := runWithServer(m)
	if err != nil {
		fmt.Fprintf(os.Stderr, "test/api: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

// runWithServer runs the tests between the start and the stop of an API server. An interrupt stops it too:
// envtest gives its processes a process group of their own, so that they would outlive the tests.
func runWithServer(m *testing.M) (code int, err error) {
	assets, err := findAssets(os.Getenv("KUBEBUILDER_ASSETS"))
	if err != nil {
		return 0, err
	}
	logf.SetLogger(logr.Discard())
	environment := &envtest.Environment{
		UseExistingCluster:       new(false), // whatever the environment says: never a user's cluster
		BinaryAssetsDirectory:    assets,
		CRDDirectoryPaths:        []string{crdDir},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: startTimeout,
	}
	interrupted, stopNotify := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stopNotify()
	config, err := environment.Start()
	defer func() { err = errors.Join(err, environment.Stop()) }()
	if err != nil {
		return 0, fmt.Errorf("starting the API server with the CRDs of %s: %w", crdDir, err)
	}
	if err := connect(config); err != nil {
		return 0, err
	}
	done := make(chan int, 1)
	go func() { done <- m.Run() }()
	select {
	case code := <-done:
		return code, nil
	case <-interrupted.Done():
		return 1, errors.New("interrupted")
	}
}

// findAssets checks the directory before envtest does, whose message would not say how to get the programs.
func findAssets(dir string) (string, error) {
	const mend = "run `make test-api`, which builds kube-apiserver and etcd and names their directory in KUBEBUILDER_ASSETS"
	if dir == "" {
		return "", errors.New("KUBEBUILDER_ASSETS is not set: " + mend)
	}
	for _, program := range []string{"kube-apiserver", "etcd"} {
		if _, err := os.Stat(filepath.Join(dir, program)); err != nil {
			return "", fmt.Errorf("finding %s in KUBEBUILDER_ASSETS: %w: %s", program, err, mend)
		}
	}
	return dir, nil
}

func connect(config *rest.Config) error {
	config = rest.CopyConfig(config)
	config.QPS = -1 // the tests wait for nobody
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), clientgoscheme.AddToScheme(scheme)); err != nil {
		return fmt.Errorf("registering kinds: %w", err)
	}
	typed, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("making the typed client: %w", err)
	}
	server.config, server.client = config, typed
	return nil
}
