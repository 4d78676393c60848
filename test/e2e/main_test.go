// Package e2e tests the whole on a real node: a real API server, kubelet and containerd, pods that leak real zombies,
// and the operator installed by its chart.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// requireEnv makes it a failure to leave these tests out.
const requireEnv = "REQUIRE_E2E"

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait for a node, not for a CPU, and those of cures also for each other.
	if err := flag.Set("test.parallel", "64"); err != nil {
		panic(err)
	}
	if why := impossible(); why != "" {
		fmt.Printf("e2e: left out: %s\n", why)
		if os.Getenv(requireEnv) == "1" {
			fmt.Printf("e2e: %s=1 makes that a failure\n", requireEnv)
			os.Exit(1)
		}
		os.Exit(0)
	}
	log.SetLogger(logr.Discard()) // or controller-runtime prints a stack trace to say that nobody did
	os.Exit(withCluster(m.Run))
}

// impossible says why a local cluster cannot be had here.
func impossible() string {
	switch {
	case runtime.GOOS != "linux":
		return "a local cluster needs Linux, this is " + runtime.GOOS
	case os.Getuid() != 0:
		return "a local cluster needs root"
	}
	return ""
}

// withCluster brings the local cluster up with the operator in it, runs the tests, and takes it down. With E2E_KEEP=1
// the cluster stays, for a look at it. With E2E_REUSE=1 the tests run on one that stayed, with the operator of this working tree:
//
//	E2E_REUSE=1 E2E_KEEP=1 go test -run 'TestOperator/side/cures/SIGCHLD' ./test/e2e
func withCluster(run func() int) int {
	held, err := lock()
	if err != nil {
		fmt.Printf("e2e: %v\n", err)
		return 1
	}
	defer held.Close()
	fmt.Println("e2e: bringing up the local cluster " + clusterName)
	if err := setUp(); err != nil {
		fmt.Printf("e2e: setting up: %v\n", err)
		tearDown()
		return 1
	}
	code := run()
	if os.Getenv("E2E_KEEP") == "1" {
		fmt.Println("e2e: E2E_KEEP=1: the cluster stays; KUBECONFIG=" + kubeconfig)
		return code
	}
	if !tearDown() {
		return 1
	}
	return code
}
