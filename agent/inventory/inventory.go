// Package inventory knows the pods and running containers of the node, as the container runtime tells them by CRI
// and the kernel confirms them.
package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/zombie-operator/zombie-operator/agent/attribute"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
)

// Labels by which the kubelet names what a container or sandbox belongs to; every CRI runtime carries them.
const (
	labelPodNamespace  = "io.kubernetes.pod.namespace"
	labelPodName       = "io.kubernetes.pod.name"
	labelPodUID        = "io.kubernetes.pod.uid"
	labelContainerName = "io.kubernetes.container.name"
)

// annotationTerminationMessagePath is where the kubelet notes a container's terminationMessagePath.
const annotationTerminationMessagePath = "io.kubernetes.container.terminationMessagePath"

// Runtime is the part of CRI that the inventory needs.
type Runtime interface {
	// Sandboxes lists the pod sandboxes that are ready.
	Sandboxes(ctx context.Context) ([]*runtimeapi.PodSandbox, error)
	// Containers lists the containers, those that ended included.
	Containers(ctx context.Context) ([]*runtimeapi.Container, error)
	// Container tells the details of one container, those of the runtime's own included.
	Container(ctx context.Context, id string) (*runtimeapi.ContainerStatusResponse, error)
}

// Kernel is the part of a proc mount that the inventory needs.
type Kernel interface {
	Process(pid int) (kernel.Process, error)
	Identity(pid int) (scan.Identity, error)
	Clocks() (scan.Clocks, error)
}

// Pod identifies a pod. For a static pod the UID is the runtime's, not that of its mirror pod.
type Pod struct {
	Namespace string
	Name      string
	UID       string
}

// Container is a running container.
type Container struct {
	attribute.Container
	Pod   Pod
	Name  string
	Image string
	// InitTicks is when its first process started, in clock ticks since boot.
	InitTicks uint64
	// TerminationMessagePath is where, inside the container, its last words to people are read from; "" when unknown.
	TerminationMessagePath string
}

// Inventory keeps the last knowledge: what the runtime does not answer now does not make pods vanish.
type Inventory struct {
	runtime Runtime
	kernel  Kernel
	log     *slog.Logger

	containers map[string]Container
	// dead are those whose first process is a zombie, while the runtime lists them as running.
	dead map[string]Container
	// pods counts, for each pod, the answers in a row without it.
	pods map[Pod]int
	// incomplete are the pods with a running container that is not known.
	incomplete map[Pod]bool
	// unlisted counts, for each dead container, the lists in a row without it.
	unlisted map[string]int
	// endedBeside says of a container whether one that ended may have been in its PID namespace.
	endedBeside map[string]bool
	// troubled are the containers whose details could not be had the last time.
	troubled map[string]bool
}

// New returns an Inventory that knows nothing yet.
func New(runtime Runtime, kernel Kernel, log *slog.Logger) *Inventory {
	return &Inventory{
		runtime:    runtime,
		kernel:     kernel,
		log:        log,
		containers: map[string]Container{},
		dead:       map[string]Container{},
		pods:       map[Pod]int{},
		incomplete: map[Pod]bool{},
		troubled:   map[string]bool{},

		endedBeside: map[string]bool{},
	}
}

// Refresh asks the runtime once. On an error what was known stays known. A container leaves the inventory when its
// first process is gone, whatever the runtime says: a runtime that just started may answer with an empty list.
func (i *Inventory) Refresh(ctx context.Context) error {
	i.dropDead()
	sandboxes, err := i.runtime.Sandboxes(ctx)
	if err != nil {
		return fmt.Errorf("refreshing pods: %w", err)
	}
	i.mergePods(sandboxes)
	listed, err := i.runtime.Containers(ctx)
	if err != nil {
		return fmt.Errorf("refreshing containers: %w", err)
	}
	runs := running(listed)
	i.buryUnlisted(runs)
	err = i.learn(ctx, runs)
	i.noteGuests(listed)
	if err != nil && len(i.containers)+len(i.dead) == 0 {
		return fmt.Errorf("looking into any of %d containers (is the agent in the host's PID namespace, hostPID: true?): %w", len(runs), err)
	}
	return nil
}

// learnTimeout bounds the details of all new containers together: a runtime that lists a hundred containers but hangs on
// the details of each must not stop the scans either. There is time for two that hang.
const learnTimeout = 2 * callTimeout

// learn asks for the details of containers that are new. One of which they cannot be had is told in the log, keeps its pod
// from being reported, and is asked again next time, after the others, so that those get their turn however many hang.
// It returns the last such error.
func (i *Inventory) learn(ctx context.Context, listed []*runtimeapi.Container) (last error) {
	ctx, cancel := context.WithTimeout(ctx, learnTimeout)
	defer cancel()
	troubled := map[string]bool{}
	clear(i.incomplete)
	for _, c := range i.unknown(listed) {
		id := c.GetId()
		if ctx.Err() != nil {
			i.incomplete[podOf(c)] = true
			troubled[id] = i.troubled[id]
			continue
		}
		container, err := i.describe(ctx, c)
		if err == nil {
			err = i.add(container)
		}
		if err == nil {
			continue
		}
		last = err
		i.incomplete[podOf(c)] = true
		if kernel.IsVanished(err) {
			continue // it just ended and will not be listed again
		}
		troubled[id] = true
		if !i.troubled[id] {
			i.log.Warn("Leaving out a container and its pod", "container", id, "err", err)
		}
	}
	i.troubled = troubled
	return last
}

// unknown returns the containers that are new, those last whose details could not be had the last time.
func (i *Inventory) unknown(listed []*runtimeapi.Container) []*runtimeapi.Container {
	var first, last []*runtimeapi.Container
	for _, c := range listed {
		_, known := i.containers[c.GetId()]
		_, dead := i.dead[c.GetId()]
		switch {
		case known, dead:
		case i.troubled[c.GetId()]:
			last = append(last, c)
		default:
			first = append(first, c)
		}
	}
	return append(first, last...)
}

func podOf(labeled interface{ GetLabels() map[string]string }) Pod {
	labels := labeled.GetLabels()
	return Pod{Namespace: labels[labelPodNamespace], Name: labels[labelPodName], UID: labels[labelPodUID]}
}

// ErrNotOurs marks a container that is none of a pod's, or whose first process is not where the runtime says.
var ErrNotOurs = errors.New("not usable")

func (i *Inventory) describe(ctx context.Context, listed *runtimeapi.Container) (Container, error) {
	id := listed.GetId()
	pod, name, err := ownerOf(listed)
	if err != nil {
		return Container{}, err
	}
	status, err := i.runtime.Container(ctx, id)
	if err != nil {
		return Container{}, fmt.Errorf("describing container %q: %w", id, err)
	}
	container, err := examine(i.kernel, id, status)
	container.Pod, container.Name = pod, name
	return container, err
}

// ownerOf reads to which pod a container belongs, and as which of its containers.
func ownerOf(labeled interface{ GetLabels() map[string]string }) (pod Pod, name string, err error) {
	pod, name = podOf(labeled), labeled.GetLabels()[labelContainerName]
	if pod.Namespace == "" || pod.Name == "" || pod.UID == "" || name == "" {
		return Pod{}, "", fmt.Errorf("container carries no pod labels: %w", ErrNotOurs)
	}
	return pod, name, nil
}

// examine looks at the first process of a container of which the runtime told the details. That it is in the container's
// cgroup confirms what the runtime says. A zombie is in none on cgroup v1: that a dead one started when the container did has to do.
func examine(proc Kernel, id string, answer *runtimeapi.ContainerStatusResponse) (Container, error) {
	pid, err := initPID(answer.GetInfo())
	if err != nil {
		return Container{}, fmt.Errorf("container tells no PID: %w: %w", ErrNotOurs, err)
	}
	process, err := proc.Process(pid)
	if err != nil {
		return Container{}, fmt.Errorf("reading first process of container %q: %w", id, err)
	}
	identity, err := proc.Identity(pid)
	if err != nil {
		return Container{}, fmt.Errorf("reading first process of container %q: %w", id, err)
	}
	cgroup := attribute.CgroupOf(id, identity.Cgroups)
	switch {
	case cgroup != "", pid == os.Getpid(): // in a cgroup namespace of its own the agent's own path is "/"
	case !isDead(process), len(identity.Cgroups) > 0:
		return Container{}, fmt.Errorf("process %d is not in a cgroup of the container: %w", pid, ErrNotOurs)
	default:
		if err := startedWith(proc, process, answer.GetStatus()); err != nil {
			return Container{}, err
		}
	}
	return Container{
		Container: attribute.Container{
			ID:        id,
			InitPID:   pid,
			Namespace: identity.Namespace,
			Depth:     len(identity.NamespacePIDs),
			Joined:    attribute.HasJoined(identity),
			Cgroup:    cgroup,
		},
		Image:                  image(answer.GetStatus()),
		InitTicks:              process.StartTicks,
		TerminationMessagePath: answer.GetStatus().GetAnnotations()[annotationTerminationMessagePath],
	}, nil
}

// image prefers the name that the pod's author wrote; older runtimes tell only the name they resolved it to.
func image(status *runtimeapi.ContainerStatus) string {
	return cmp.Or(status.GetImage().GetUserSpecifiedImage(), status.GetImage().GetImage())
}

// missingTwice is after how many answers without it a pod is gone: one may come from a runtime that is starting.
const missingTwice = 2

func (i *Inventory) mergePods(sandboxes []*runtimeapi.PodSandbox) {
	for _, s := range sandboxes {
		m := s.GetMetadata()
		i.pods[Pod{Namespace: m.GetNamespace(), Name: m.GetName(), UID: m.GetUid()}] = -1
	}
	for _, known := range []map[string]Container{i.containers, i.dead} {
		for _, c := range known {
			i.pods[c.Pod] = -1 // what is there is there, whatever the runtime says
		}
	}
	maps.DeleteFunc(i.pods, func(pod Pod, missing int) bool {
		i.pods[pod] = missing + 1
		return missing+1 >= missingTwice
	})
}

// Containers returns the running containers, sorted by pod and name.
func (i *Inventory) Containers() []Container {
	containers := sorted(i.containers)
	for n, c := range containers {
		// One that is not known may have joined any of its pod.
		containers[n].Shared = c.Shared || i.endedBeside[c.ID] || i.incomplete[c.Pod]
	}
	return containers
}

func sorted(containers map[string]Container) []Container {
	return slices.SortedFunc(maps.Values(containers), func(a, b Container) int {
		return cmp.Or(a.Pod.compare(b.Pod), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
}

// Pods returns the pods of the node, and for each whether all its containers that the runtime lists as running are known, be
// it as dead.
func (i *Inventory) Pods() map[Pod]bool {
	pods := make(map[Pod]bool, len(i.pods))
	for pod := range i.pods {
		pods[pod] = !i.incomplete[pod]
	}
	return pods
}

func (p Pod) compare(q Pod) int {
	return cmp.Or(cmp.Compare(p.Namespace, q.Namespace), cmp.Compare(p.Name, q.Name), cmp.Compare(p.UID, q.UID))
}
