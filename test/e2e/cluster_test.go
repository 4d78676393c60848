package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

const (
	clusterName = "e2e"
	nodeName    = "node-1"
	secondNode  = "node-2"
	stateDir    = "/var/lib/zombie-cluster/" + clusterName
	kubeconfig  = stateDir + "/kubeconfig"
	auditLog    = stateDir + "/audit.log"

	release           = "zombie-operator"
	operatorNamespace = "zombie-operator-system"
	operatorImage     = "localhost/zombie-operator"
	leaksImage        = "localhost/zombie-leaks:dev"

	// scanInterval is short, to see much in little time. The default is 30 s.
	scanInterval = 10 * time.Second
	// firstAge is the age from which on a zombie counts.
	firstAge = 30 * time.Second
	// healedRetention is how long a healed report stays.
	healedRetention = 20 * time.Second
	// staleAfter is after how long without a ready agent reports are stale: longer than an agent takes to be replaced, of
	// which ten seconds are the period of its readiness probe.
	staleAfter = 40 * time.Second
	// deleteStaleAfter is after how long without a ready agent reports go.
	deleteStaleAfter = 60 * time.Second
)

var (
	repository = findRepository()
	kubectl    = "kubectl" // the one that was built with the cluster, once it is up
	api        client.Client
	logs       corev1client.CoreV1Interface // asks for logs, which api cannot
)

// manifests is the directory from which a node's kubelet takes its static pods.
func manifests(node string) string { return stateDir + "/nodes/" + node + "/manifests" }

func findRepository() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
}

// lock keeps a second run, from another checkout say, from taking this one's cluster away. It ends with this process, and leaves no file. As
// that of zcluster it holds in one network namespace.
func lock() (io.Closer, error) {
	name := "@zombie-operator/test/" + clusterName
	socket, err := net.Listen("unix", name)
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("another run of these tests has the cluster %s (socket %s): wait for its end", clusterName, name)
	}
	if err != nil {
		return nil, fmt.Errorf("taking the lock of these tests: %w", err)
	}
	return socket, nil
}

// setUp brings up a fresh cluster, in place of one that an earlier run left, and installs the operator of this working tree.
func setUp() error {
	waitOld, err := leaveHostZombies()
	if err != nil {
		return err
	}
	reuse := os.Getenv("E2E_REUSE") == "1"
	if !reuse {
		if err := zcluster("down", "--name", clusterName); err != nil {
			return err
		}
	}
	if err := zcluster("up", "--name", clusterName, "--nodes", "2"); err != nil {
		return err
	}
	if err := build(); err != nil {
		return err
	}
	if err := connect(); err != nil {
		return err
	}
	if reuse {
		if err := uninstall(); err != nil {
			return err
		}
	}
	waitOld()
	return install()
}

func build() error {
	if err := show("make", "--no-print-directory", "image", "leaks-image"); err != nil {
		return err
	}
	return zcluster("load", "--name", clusterName, repository+"/dist/zombie-operator.tar", repository+"/dist/zombie-leaks.tar")
}

func connect() error {
	exports, err := output("go", "-C", repository+"/hack/cluster", "run", "./cmd/zcluster", "env", "--name", clusterName)
	if err != nil {
		return err
	}
	for line := range strings.Lines(exports) {
		if dir, ok := strings.CutPrefix(strings.TrimSpace(line), "export KUBEBUILDER_ASSETS="); ok {
			kubectl = filepath.Join(strings.Trim(dir, `"'`), "kubectl")
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("reading %s: %w", kubeconfig, err)
	}
	config.QPS = -1 // no limit: many tests ask at once, and one that waits its turn may miss what it waits for
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return fmt.Errorf("registering kinds: %w", err)
	}
	if logs, err = corev1client.NewForConfig(config); err != nil {
		return fmt.Errorf("making a client for logs: %w", err)
	}
	api, err = client.New(config, client.Options{Scheme: scheme})
	return err
}

// install installs the chart as a user does, with short times.
func install() error {
	if err := show(kubectl, "create", "namespace", operatorNamespace); err != nil {
		return err
	}
	if err := show(kubectl, "label", "namespace", operatorNamespace, "pod-security.kubernetes.io/enforce=privileged"); err != nil {
		return err
	}
	return helm("install", release, repository+"/charts/zombie-operator", "--namespace", operatorNamespace,
		"--set", "image.repository="+operatorImage, "--set", "image.tag=dev", "--set", "image.pullPolicy=Never",
		"--set", "agent.criSocket=/run/containerd/containerd.sock", "--set", "metrics.enabled=true",
		"--set", seconds("agent.scanIntervalSeconds", scanInterval),
		"--set", seconds("controller.healedRetentionSeconds", healedRetention),
		"--set", seconds("controller.staleAfterSeconds", staleAfter),
		"--set", seconds("controller.deleteStaleAfterSeconds", deleteStaleAfter),
		"--wait", "--timeout", "3m")
}

// uninstall removes what an earlier run installed, by the chart or by config/default.
func uninstall() error {
	if err := helm("uninstall", release, "--namespace", operatorNamespace, "--ignore-not-found", "--wait"); err != nil {
		return err
	}
	if err := show(kubectl, "delete", "--ignore-not-found", "-k", "config/default"); err != nil {
		return err
	}
	return show(kubectl, "delete", "events", "--all", "-n", "default") // the Nodes'
}

func seconds(value string, d time.Duration) string {
	return fmt.Sprintf("%s=%d", value, int(d/time.Second))
}

func tearDown() bool {
	if err := zcluster("down", "--name", clusterName); err != nil {
		fmt.Printf("e2e: taking the cluster down: %v\n", err)
		return false
	}
	return true
}

func zcluster(args ...string) error {
	return show("go", append([]string{"-C", repository + "/hack/cluster", "run", "./cmd/zcluster"}, args...)...)
}

func helm(args ...string) error {
	return show("go", append([]string{"tool", "-modfile=hack/tools/go.mod", "helm"}, args...)...)
}

// show runs a command and lets its output be seen.
func show(name string, args ...string) error {
	cmd := command(context.Background(), name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running %s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}

// output runs a command and returns its standard output.
func output(name string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := command(context.Background(), name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("running %s %s: %w: %s", name, strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = repository
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "KUBECACHEDIR="+stateDir+"/kube-cache")
	return cmd
}
