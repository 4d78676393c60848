package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/runtime"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/zombie-operator/zombie-operator/agent/cgroup"
	"github.com/zombie-operator/zombie-operator/agent/evidence"
	"github.com/zombie-operator/zombie-operator/agent/health"
	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/metrics"
	"github.com/zombie-operator/zombie-operator/agent/nodereport"
	"github.com/zombie-operator/zombie-operator/agent/peek"
	"github.com/zombie-operator/zombie-operator/agent/publish"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/applyconfiguration"
	v1alpha1ac "github.com/zombie-operator/zombie-operator/api/applyconfiguration/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	interval = 30 * time.Second
	hostNS   = 4026531836
	appNS    = 4026532178
	appPID   = 1000
	appID    = "aaaa"
)

var errBroken = errors.New("broken")

// node is a node in memory and, as far as /proc goes, in files: one pod, web, with one container, app.
type node struct {
	t testing.TB
	// root is the proc mount, cgroups that of the cgroups.
	root, cgroups string
	// tells says that the kernel tells when a process died; it died twenty minutes ago then.
	tells bool
	// answersAfter is how long the runtime takes for each answer.
	answersAfter time.Duration

	mu         sync.Mutex
	runtimeErr error
}

func newNode(tb testing.TB) *node {
	tb.Helper()
	n := &node{t: tb, root: tb.TempDir(), cgroups: tb.TempDir(), tells: true}
	n.write("uptime", "100000.00 1000.00\n")
	n.write("loadavg", "0.00 0.01 0.05 1/120 4711\n")
	n.write("sys/kernel/pid_max", "32768\n")
	n.write("sys/kernel/threads-max", "100000\n")
	n.cgroup("cgroup.controllers", "pids\n")
	n.write("thread-self/sched", "agent (1, #threads: 1)\nse.exec_start : 9900000.0\n")
	n.process(os.Getpid(), 1, "S", hostNS, "/system.slice", os.Getpid())
	n.process(1, 0, "S", hostNS, "/init.scope", 1)
	n.process(appPID, 1, "S", appNS, "/kubepods/web/"+appID, appPID, 1)
	return n
}

func (n *node) write(name, text string) {
	n.t.Helper()
	n.put(filepath.Join(n.root, name), text)
}

// cgroup writes a file of the cgroup mount.
func (n *node) cgroup(name, text string) {
	n.t.Helper()
	n.put(filepath.Join(n.cgroups, name), text)
}

// limit limits the container to 100 processes, of which so many are used, and tells how many forks were refused.
func (n *node) limit(used, refused int) {
	n.t.Helper()
	dir := "kubepods/web/" + appID
	n.cgroup(dir+"/pids.max", "100\n")
	n.cgroup(dir+"/pids.current", fmt.Sprintln(used))
	n.cgroup(dir+"/pids.events", fmt.Sprintf("max %d\n", refused))
}

// thread lets the only thread of a process be in a state.
func (n *node) thread(pid int, state string) {
	n.t.Helper()
	dir := fmt.Sprintf("%d/task/%d", pid, pid)
	n.write(dir+"/status", "Name:\tx\nState:\t"+state+"\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\n"+
		"SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n"+
		"voluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t1\n")
	n.write(dir+"/wchan", "do_signal_stop")
}

func (n *node) put(path, text string) {
	n.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) process(pid, parent int, state string, namespace int, cgroup string, pids ...int) {
	n.t.Helper()
	dir := fmt.Sprint(pid)
	n.write(dir+"/stat", fmt.Sprintf(
		"%d (p%d) %s %d 1 1 0 -1 4227084 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0 1 0 0 0 0 0 0 0 4096 65536 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
		pid, pid, state, parent, pid))
	n.write(dir+"/status", fmt.Sprintf("Name:\tp%d\nTracerPid:\t0\nNSpid:\t%s\n", pid, strings.Trim(fmt.Sprint(pids), "[]")))
	n.write(dir+"/cgroup", fmt.Sprintf("8:pids:%s\n", cgroup))
	if n.tells {
		n.write(dir+"/sched", fmt.Sprintf("p%d (%d, #threads: 1)\nse.exec_start : 8700000.0\n", pid, pid))
	}
	n.write(dir+"/ns/.keep", "")
	if err := os.Symlink(fmt.Sprintf("pid:[%d]", namespace), filepath.Join(n.root, dir, "ns/pid")); err != nil {
		n.t.Fatal(err)
	}
}

// zombies lets as many processes of the container be zombies of its PID 1. They show no cgroup, as on v1.
func (n *node) zombies(count int) {
	n.t.Helper()
	const first = appPID + 1
	for i := range 100 {
		pid := first + i
		switch _, err := os.Stat(filepath.Join(n.root, fmt.Sprint(pid))); {
		case i < count && err != nil:
			n.process(pid, appPID, "Z", appNS, "/", pid, 2+i)
		case i >= count && err == nil:
			n.remove(pid)
		}
	}
}

// lookAlikes lets three processes of the container look like zombies.
func (n *node) lookAlikes() {
	n.t.Helper()
	stat := func(pid, threads, signal int) {
		n.process(pid, appPID, "Z", appNS, "/", pid, pid-1900)
		n.ends(pid, appPID, threads, signal)
	}
	stat(1990, 2, 17) // its threads live
	stat(1991, 1, 17)
	n.write("1991/status", "TracerPid:\t5\nNSpid:\t1991 91\n")
	stat(1995, 1, 10) // tells its parent by another signal
}

// ends lets a process be in state Z with so many threads and an exit signal.
func (n *node) ends(pid, parent, threads, signal int) {
	n.t.Helper()
	n.write(fmt.Sprint(pid)+"/stat", fmt.Sprintf(
		"%d (p%d) Z %d 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 %d 0 %d 0 0 1 0 0 0 0 0 0 0 0 0 0 0 0 %d 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
		pid, pid, parent, threads, pid, signal))
}

func (n *node) remove(pid int) {
	n.t.Helper()
	if err := os.RemoveAll(filepath.Join(n.root, fmt.Sprint(pid))); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) breakRuntime(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.runtimeErr = err
}

func (n *node) failing() error {
	<-time.After(n.answersAfter)
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.runtimeErr
}

func (n *node) Sandboxes(context.Context) ([]*runtimeapi.PodSandbox, error) {
	return []*runtimeapi.PodSandbox{{Metadata: &runtimeapi.PodSandboxMetadata{Namespace: "shop", Name: "web", Uid: "uid-web"}}}, n.failing()
}

func (n *node) Containers(context.Context) ([]*runtimeapi.Container, error) {
	return []*runtimeapi.Container{{Id: appID, State: runtimeapi.ContainerState_CONTAINER_RUNNING, Labels: map[string]string{
		"io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.name": "web", "io.kubernetes.pod.uid": "uid-web",
		"io.kubernetes.container.name": "app",
	}}}, n.failing()
}

func (n *node) Container(context.Context, string) (*runtimeapi.ContainerStatusResponse, error) {
	return &runtimeapi.ContainerStatusResponse{
		Status: &runtimeapi.ContainerStatus{Image: &runtimeapi.ImageSpec{Image: "registry/app:1"}},
		Info:   map[string]string{"info": fmt.Sprintf(`{"pid": %d}`, appPID)},
	}, n.failing()
}

// server is an API server in memory that notes every call and the zombies told in it, and takes its time.
type server struct {
	client.Client
	mu sync.Mutex
	// calls are those about the report of web, nodeCalls those about the node's.
	calls, nodeCalls []string
	takes            time.Duration
	err              error
	// stubborn says that a call goes on when its context ends.
	stubborn bool
}

func newServer(tb testing.TB, reports ...client.Object) *server {
	tb.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		tb.Fatal(err)
	}
	s := &server{}
	s.Client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(reports...).WithStatusSubresource(&v1alpha1.ZombieReport{}, &v1alpha1.ZombieNodeReport{}).
		WithTypeConverters(applyconfiguration.NewTypeConverter(scheme)).
		WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
				_, node := obj.(*v1alpha1.ZombieNodeReport)
				if err := s.call(ctx, "get", node); err != nil {
					return err
				}
				return c.Get(ctx, key, obj, opts...)
			},
			Apply: func(ctx context.Context, c client.WithWatch, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
				if err := s.call(ctx, "spec", isOfNode(obj)); err != nil {
					return err
				}
				return c.Apply(ctx, obj, opts...)
			},
			SubResourceApply: func(ctx context.Context, c client.Client, sub string, obj runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
				node := isOfNode(obj)
				if err := s.call(ctx, sub, node); err != nil {
					return err
				}
				// A real API server never creates by a subresource; the fake does.
				if err := c.Get(ctx, reportKey, &v1alpha1.ZombieReport{}); err != nil && !node {
					return err
				}
				return c.SubResource(sub).Apply(ctx, obj, opts...)
			},
		}).Build()
	return s
}

var reportKey = client.ObjectKey{Namespace: "shop", Name: v1alpha1.ReportName("web", "uid-web")}

func isOfNode(obj runtime.ApplyConfiguration) bool {
	_, ok := obj.(*v1alpha1ac.ZombieNodeReportApplyConfiguration)
	return ok
}

func (s *server) call(ctx context.Context, verb string, node bool) error {
	s.mu.Lock()
	if node {
		s.nodeCalls = append(s.nodeCalls, verb)
	} else {
		s.calls = append(s.calls, verb)
	}
	takes, err, done := s.takes, s.err, ctx.Done()
	if s.stubborn {
		done = nil
	}
	s.mu.Unlock()
	select {
	case <-done:
		return ctx.Err()
	case <-time.After(takes):
		return err
	}
}

// behave changes how long calls take and how they end.
func (s *server) behave(takes time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takes, s.err = takes, err
}

// taken returns the calls since the last time.
func (s *server) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := slices.Clone(s.calls)
	s.calls = nil
	return append([]string{}, calls...)
}

// report reads the report of web as it is stored.
func (s *server) report(t *testing.T) v1alpha1.ZombieReport {
	t.Helper()
	s.behave(0, nil)
	var report v1alpha1.ZombieReport
	if err := s.Get(t.Context(), reportKey, &report); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = s.calls[:len(s.calls)-1]
	return report
}

// logged is a log that can be read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func newAgent(tb testing.TB, n *node, s *server) (*Agent, *logged) {
	tb.Helper()
	fs, err := kernel.New(n.root)
	if err != nil {
		tb.Fatal(err)
	}
	text := &logged{}
	log := slog.New(slog.NewTextHandler(text, nil))
	images, err := peek.New(n.root)
	if err != nil {
		tb.Fatal(err)
	}
	cgroups, err := cgroup.New(n.cgroups)
	if err != nil {
		tb.Fatal(err)
	}
	proc, recall, h := scan.Proc{FS: fs}, NewRecall(), health.New(interval, time.Now)
	return &Agent{
		Interval: interval, Proc: proc, Inventory: inventory.New(n, proc, log),
		Cgroups: cgroups, Peek: images, Evidence: evidence.New(proc, images),
		Publisher: publish.New(s, "node-1", recall, log), NodePublisher: nodereport.New(s, "node-1", log),
		Metrics: metrics.New(prometheus.NewRegistry(), h.Parts), Recall: recall, Health: h, Log: log,
	}, text
}

// run lets an agent run until the test ends or the returned function is called.
func run(t *testing.T, a *Agent) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Run(ctx)
	}()
	return func() { cancel(); <-done }
}
