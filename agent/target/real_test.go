package target_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zombie-operator/zombie-operator/agent/attribute"
	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/agent/target"
	"github.com/zombie-operator/zombie-operator/agent/target/targettest"
)

// startInit starts the first process of a PID namespace, which has a child. Both end with the test.
func startInit(t *testing.T, role string) (init, child kernel.Process) {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("REQUIRE_E2E") == "1" {
			t.Fatal("REQUIRE_E2E=1, but only root makes PID namespaces")
		}
		t.Skip("only root makes PID namespaces")
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr, cmd.SysProcAttr = os.Stderr, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("waiting until the first process is ready: %q, %v", line, err)
	}
	processes, _, err := openProc(t).Processes()
	if err != nil {
		t.Fatal(err)
	}
	find := func(is func(kernel.Process) bool) kernel.Process {
		i := slices.IndexFunc(processes, is)
		if i < 0 {
			t.Fatal("the first process or its child is gone")
		}
		return processes[i]
	}
	return find(func(p kernel.Process) bool { return p.PID == cmd.Process.Pid }),
		find(func(p kernel.Process) bool { return p.ParentPID == cmd.Process.Pid })
}

func openProc(t *testing.T) scan.Proc {
	t.Helper()
	f, err := kernel.New("/proc")
	if err != nil {
		t.Fatal(err)
	}
	return scan.Proc{FS: f}
}

// containerOf is the container whose first process is that one, if it were one.
func containerOf(t *testing.T, init kernel.Process) inventory.Container {
	t.Helper()
	identity, err := openProc(t).Identity(init.PID)
	if err != nil {
		t.Fatal(err)
	}
	return inventory.Container{Container: attribute.Container{
		ID: "real", InitPID: init.PID, Namespace: identity.Namespace, Depth: len(identity.NamespacePIDs),
		Joined: attribute.HasJoined(identity),
	}}
}

func TestRealTracerOutsideHoldsAContainer(t *testing.T) {
	t.Parallel()
	init, child := startInit(t, roleInit)
	c, finder := containerOf(t, init), target.Finder{Proc: openProc(t)}
	if got, err := finder.Traced(c); len(got) > 0 || err != nil {
		t.Errorf("Traced() = %+v, %v before anybody traces, want none", got, err)
	}
	tid := targettest.Trace(t, child.PID, false)
	identity, err := openProc(t).Identity(child.PID)
	if err != nil {
		t.Fatal(err)
	}
	tracer, err := openProc(t).Process(tid)
	if err != nil {
		t.Fatal(err)
	}
	want := []target.Traced{{PID: identity.NamespacePIDs[c.Depth-1], Command: child.Command, TracerPID: tid, TracerCommand: tracer.Command}}
	got, err := finder.Traced(c)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("traced (-want +got):\n%s", diff)
	}
}

func TestRealTracerOfOneThreadHoldsAContainer(t *testing.T) {
	t.Parallel()
	init, _ := startInit(t, roleInit)
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", init.PID))
	if err != nil || len(threads) < 2 {
		t.Fatalf("the first process has threads %v, %v, want two: it is a Go program", threads, err)
	}
	last, err := strconv.Atoi(threads[len(threads)-1].Name())
	if err != nil {
		t.Fatal(err)
	}
	tid := targettest.Trace(t, last, false)
	got, err := (target.Finder{Proc: openProc(t)}).Traced(containerOf(t, init))
	if err != nil || len(got) != 1 || got[0].PID != 1 || got[0].TracerPID != tid {
		t.Errorf("Traced() = %+v, %v, want PID 1, a thread of which thread %d traces", got, err, tid)
	}
}

func TestRealTracerInsideHoldsNoContainer(t *testing.T) {
	t.Parallel()
	init, child := startInit(t, roleDebugger)
	identity, err := openProc(t).Identity(child.PID)
	if err != nil || identity.TracerPID == 0 {
		t.Fatalf("the child is %+v, %v, want it traced", identity, err)
	}
	if got, err := (target.Finder{Proc: openProc(t)}).Traced(containerOf(t, init)); len(got) > 0 || err != nil {
		t.Errorf("Traced() = %+v, %v, want none: the tracer ends with the container", got, err)
	}
}
