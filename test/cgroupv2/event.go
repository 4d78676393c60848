//go:build linux

// Package cgroupv2 runs the tests that need a real kernel on one that has cgroup v2 alone: Debian's, in a machine emulated
// by qemu. This file is what the two sides have in common; the tests are the host's side, and guest is the other.
package cgroupv2

const (
	// SuitesFile is where the guest finds what to run: a JSON list of Suite.
	SuitesFile = "/suites.json"
	// Port is the serial port to which the guest writes an Event per line. The kernel's messages go to another.
	Port = "/dev/ttyS1"
	// Inside is the cgroup in whose own cgroup namespace the tests run again: as deep as that of a container.
	Inside = "/kubepods/pod0/container"
)

// Suite is a package's test program.
type Suite struct {
	// Package is the package's directory in the repository; in the guest it is below the root, and holds test data.
	Package string
	// Program is the path of the test program in the guest.
	Program string
	// Args are its arguments.
	Args []string
}

// Event is something that the guest tells.
type Event struct {
	// Side is "root" for the cgroup namespace of the machine, "private" for that of Inside, "" for the machine itself.
	Side string `json:",omitempty"`
	// Package is the package whose tests run, "" for the side itself.
	Package string `json:",omitempty"`
	// Output is a line of the test program, as `-test.v=test2json` makes it print.
	Output string `json:",omitempty"`
	// Seen is what a process of this side sees.
	Seen *Seen `json:",omitempty"`
	// Over says that the package, or the machine, has come to its end; Error says why too early, "" when it has not.
	Over  bool   `json:",omitempty"`
	Error string `json:",omitempty"`
}

// Seen is what a process sees of cgroups.
type Seen struct {
	// Hierarchies are the lines of /proc/cgroups, Own and Init those of /proc/self/cgroup and /proc/1/cgroup.
	Hierarchies, Own, Init string
	// Controllers are those of cgroup v2.
	Controllers string
}
