package observe

import (
	"slices"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Difference is how an observation differs from the reported one.
type Difference int

const (
	// Same: not enough to be worth a write.
	Same Difference = iota
	// OtherParents: only who is blamed, or for what, is another.
	OtherParents
	// OtherNumbers: counts, ages or containers are others.
	OtherNumbers
)

// Compare says how an observation differs from the reported one. A write costs every reader of the API server, so numbers
// matter only when they cross 1, 2, 5, 10, 20, 50 and so on.
func Compare(reported, observed v1alpha1.Observed) Difference {
	a, b := byName(reported), byName(observed)
	switch {
	case magnitude(reported.Zombies) != magnitude(observed.Zombies),
		magnitude(reported.ContainersOmitted) != magnitude(observed.ContainersOmitted),
		!slices.EqualFunc(a, b, sameNumbers):
		return OtherNumbers
	case !slices.EqualFunc(a, b, func(a, b v1alpha1.ContainerObservation) bool { return sameParents(a.Parents, b.Parents) }):
		return OtherParents
	}
	return Same
}

func sameNumbers(a, b v1alpha1.ContainerObservation) bool {
	return a.Name == b.Name && a.ContainerID == b.ContainerID &&
		magnitude(a.Zombies) == magnitude(b.Zombies) &&
		magnitude(a.ParentsOmitted) == magnitude(b.ParentsOmitted) &&
		sameAges(a.Ages, b.Ages)
}

func sameAges(a, b []v1alpha1.AgeCount) bool {
	return slices.EqualFunc(a, b, func(a, b v1alpha1.AgeCount) bool {
		return a.MinAgeSeconds == b.MinAgeSeconds && magnitude(a.Zombies) == magnitude(b.Zombies)
	})
}

// suspect is what identifies a parent and what it is blamed for; its count is not part of it.
type suspect struct {
	pid        int32
	startTicks int64
	command    string
	cause      v1alpha1.Cause
}

// sameParents compares the parents without their order, which follows from counts that change all the time. Two that cannot
// be told apart, such as two shims that started at once, make the comparison both ways necessary.
func sameParents(a, b []v1alpha1.Parent) bool {
	return len(a) == len(b) && among(a, b) && among(b, a)
}

// among says whether each of some parents is one of others.
func among(some, others []v1alpha1.Parent) bool {
	return !slices.ContainsFunc(some, func(p v1alpha1.Parent) bool {
		return !slices.ContainsFunc(others, func(q v1alpha1.Parent) bool { return suspectOf(p) == suspectOf(q) })
	})
}

func suspectOf(p v1alpha1.Parent) suspect {
	s := suspect{startTicks: p.StartTicks, command: p.Command, cause: p.Cause}
	if p.PID != nil {
		s.pid = *p.PID
	}
	return s
}

func byName(o v1alpha1.Observed) []v1alpha1.ContainerObservation {
	containers := slices.Clone(o.Containers)
	slices.SortFunc(containers, func(a, b v1alpha1.ContainerObservation) int {
		return slices.Compare([]byte(a.Name), []byte(b.Name))
	})
	return containers
}

// Step numbers the steps 0, 1, 2, 5, 10, 20, 50, 100 and so on: it is the same for counts between two steps.
func Step(n int) int {
	step, decade := 0, 1
	for {
		for _, m := range [...]int{1, 2, 5} {
			if n < m*decade {
				return step
			}
			step++
		}
		decade *= 10
	}
}

func magnitude(n int32) int { return Step(int(n)) }
