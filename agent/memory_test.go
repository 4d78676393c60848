package agent

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/observe"
	"github.com/zombie-operator/zombie-operator/agent/publish"
	"github.com/zombie-operator/zombie-operator/agent/scan"
)

// crowd is a proc mount in memory: the first process of the container, and so many zombies of it, which show a cgroup as on v2.
// Each answer is made anew, as that of a real one is.
type crowd struct{ zombies int }

// longCgroup is as long as that of a container of the systemd driver.
var longCgroup = "/kubepods/web/" + appID + "/" + strings.Repeat("x", 180)

func (c crowd) Processes() (processes []kernel.Process, unreadable int, err error) {
	for pid := appPID; pid <= appPID+c.zombies; pid++ {
		p, _ := c.Process(pid)
		processes = append(processes, p)
	}
	return processes, 0, nil
}

func (c crowd) Process(pid int) (kernel.Process, error) {
	if pid == appPID {
		return kernel.Process{PID: pid, ParentPID: 1, State: "S", Threads: 1, StartTicks: appPID, Command: strings.Clone("app")}, nil
	}
	return kernel.Process{PID: pid, ParentPID: appPID, State: "Z", Threads: 1, StartTicks: uint64(pid), Command: strings.Clone("healthcheck.sh")}, nil
}

func (c crowd) Identity(pid int) (scan.Identity, error) {
	return scan.Identity{Namespace: appNS, NamespacePIDs: []int{pid, pid - appPID + 1}, Cgroups: []string{strings.Clone(longCgroup)}}, nil
}

func (c crowd) Exit(int) (kernel.Exit, error) {
	return kernel.Exit{Signal: int(unix.SIGCHLD), Readable: true}, nil
}

func (c crowd) Clocks() (scan.Clocks, error) { return c, nil }

func (c crowd) DeadFor(kernel.Process) (time.Duration, error) { return time.Hour, nil }

func (c crowd) StartedFor(p kernel.Process) time.Duration {
	return 24*time.Hour - time.Duration(p.StartTicks)*100*time.Millisecond
}

// memory is how many bytes one zombie takes.
type memory struct {
	// inLook is what is held at the end of a look, betweenLooks what is remembered from one to the next.
	inLook, betweenLooks float64
	// telling is what was taken, for however short a time, to make what a report says.
	telling float64
}

// memoryOf lets so many zombies of one parent go through scan, tracker and sorting into what a report is made of, three times.
func memoryOf(tb testing.TB, zombies int) memory {
	tb.Helper()
	a, _ := newAgent(tb, newNode(tb), newServer(tb))
	a.begin()
	a.scanner = scan.New(crowd{zombies})
	if err := a.Inventory.Refresh(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	before, _ := heap()
	var (
		result     scan.Result
		s          sorted
		containers map[inventory.Pod][]observe.Container
		told       []publish.Pod
		untold     uint64
	)
	now := time.Now()
	for range 3 {
		var err error
		now = now.Add(interval)
		if result, err = a.scanner.Scan(now); err != nil {
			tb.Fatal(err)
		}
		s = a.sorted(result)
		_, untold = heap()
		containers = a.containers(s, nodeFacts{}, now)
		told = a.pods(containers, s, nodeFacts{}, now)
	}
	inLook, taken := heap()
	if counted(told) != zombies {
		tb.Fatalf("%d zombies are told of, want %d", counted(told), zombies)
	}
	runtime.KeepAlive(result)
	runtime.KeepAlive(s)
	runtime.KeepAlive(containers)
	betweenLooks, _ := heap()
	runtime.KeepAlive(a)
	each := func(after, before uint64) float64 { return (float64(after) - float64(before)) / float64(zombies) }
	return memory{inLook: each(inLook, before), betweenLooks: each(betweenLooks, before), telling: each(taken, untold)}
}

// heap is how many bytes are held, and how many were ever taken.
func heap() (held, taken uint64) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.TotalAlloc
}

// BenchmarkBytesPerZombie is of as many zombies as a node without limits may well have when it needs the agent most.
func BenchmarkBytesPerZombie(b *testing.B) {
	var m memory
	for b.Loop() {
		m = memoryOf(b, 100_000)
	}
	b.ReportMetric(m.inLook, "B/zombie-in-look")
	b.ReportMetric(m.betweenLooks, "B/zombie-between-looks")
	b.ReportMetric(m.telling, "B/zombie-to-tell")
}

// The chart limits the agent to 128 MiB, and it must not be killed again and again just when a node fills up. These ceilings are
// a quarter above what was measured; then 100,000 zombies take 65 MiB at the peak.
func TestAZombieTakesLittleMemory(t *testing.T) { //nolint:paralleltest // what another test takes would count
	got := memoryOf(t, 20_000)
	for about, tc := range map[string]struct{ got, most float64 }{
		"held in a look":                {got.inLook, 540},
		"remembered to the next":        {got.betweenLooks, 420},
		"taken to make what is told of": {got.telling, 1200},
	} {
		if tc.got > tc.most || tc.got <= 0 {
			t.Errorf("%s: %.0f bytes for each zombie, want %.0f at most", about, tc.got, tc.most)
		}
	}
}
