package govern

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

var born = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// web is a container that every policy below selects unless it says otherwise.
var web = Subject{
	Namespace:       "shop",
	NamespaceLabels: map[string]string{"team": "checkout"},
	PodLabels:       map[string]string{"app": "web"},
	Container:       "app",
}

type change func(*metav1.ObjectMeta, *v1alpha1.ZombiePolicySpec)

func priority(p int32) change {
	return func(_ *metav1.ObjectMeta, s *v1alpha1.ZombiePolicySpec) { s.Priority = p }
}

func bornLater(d time.Duration) change {
	return func(m *metav1.ObjectMeta, _ *v1alpha1.ZombiePolicySpec) {
		m.CreationTimestamp = metav1.NewTime(born.Add(d))
	}
}

func inNamespace(namespace string) change {
	return func(m *metav1.ObjectMeta, _ *v1alpha1.ZombiePolicySpec) { m.Namespace = namespace }
}

func containers(names ...v1alpha1.ContainerName) change {
	return func(_ *metav1.ObjectMeta, s *v1alpha1.ZombiePolicySpec) { s.ContainerNames = names }
}

func app(value v1alpha1.LabelValue) change {
	return func(_ *metav1.ObjectMeta, s *v1alpha1.ZombiePolicySpec) { s.Selector = labelled("app", value) }
}

func beingDeleted(m *metav1.ObjectMeta, _ *v1alpha1.ZombiePolicySpec) {
	m.DeletionTimestamp = new(metav1.NewTime(born))
}

func labelled(key string, value v1alpha1.LabelValue) v1alpha1.Selector {
	return v1alpha1.Selector{MatchLabels: map[string]v1alpha1.LabelValue{key: value}}
}

// zp is a ZombiePolicy for all pods of shop.
func zp(name string, mode v1alpha1.PolicyMode, changes ...change) v1alpha1.ZombiePolicy {
	p := v1alpha1.ZombiePolicy{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: name, Generation: 4, CreationTimestamp: metav1.NewTime(born),
	}}
	p.Spec.Mode, p.Spec.Selector.Match = mode, v1alpha1.MatchEverything
	for _, c := range changes {
		c(&p.ObjectMeta, &p.Spec)
	}
	if p.Spec.Selector.MatchLabels != nil {
		p.Spec.Selector.Match = ""
	}
	return p
}

// czp is a ClusterZombiePolicy for all pods of the namespaces of a team.
func czp(name string, mode v1alpha1.PolicyMode, team v1alpha1.LabelValue, changes ...change) v1alpha1.ClusterZombiePolicy {
	inner := zp(name, mode, changes...)
	inner.Namespace = ""
	return v1alpha1.ClusterZombiePolicy{ObjectMeta: inner.ObjectMeta, Spec: v1alpha1.ClusterZombiePolicySpec{
		NamespaceSelector: labelled("team", team), ZombiePolicySpec: inner.Spec,
	}}
}

const (
	dryRun  = v1alpha1.ModeDryRun
	enforce = v1alpha1.ModeEnforce
	paused  = v1alpha1.ModePaused
	ours    = v1alpha1.LabelValue("checkout")
	theirs  = v1alpha1.LabelValue("search")
)

type (
	zps  = []v1alpha1.ZombiePolicy
	czps = []v1alpha1.ClusterZombiePolicy
)

// inShort is a ruling in a few words: kind and name of the policy, mode, and who holds it.
func inShort(r Ruling, ok bool) string {
	if !ok {
		return ""
	}
	short := map[string]string{KindNamespaced: "zp ", KindClusterWide: "czp "}[r.Reference.Kind] + r.Reference.Name + " " + string(r.Mode)
	if r.HeldBy != "" {
		short += " by " + r.HeldBy
	}
	return short
}

// wantWhateverTheOrder rules on web with the policies in every order that a few shuffles give.
func wantWhateverTheOrder(t *testing.T, want string, namespaced zps, clusterWide czps) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	namespaced, clusterWide = slices.Clone(namespaced), slices.Clone(clusterWide)
	for range 8 {
		if got := inShort(New(namespaced, clusterWide).Govern(web)); got != want {
			t.Fatalf("Govern() = %q, want %q", got, want)
		}
		random.Shuffle(len(namespaced), func(i, j int) { namespaced[i], namespaced[j] = namespaced[j], namespaced[i] })
		random.Shuffle(len(clusterWide), func(i, j int) { clusterWide[i], clusterWide[j] = clusterWide[j], clusterWide[i] })
	}
}

func TestGovernPrecedence(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		zps  zps
		czps czps
		want string
	}{
		"without policies nothing governs":                     {nil, nil, ""},
		"a policy that selects the pod governs it":             {zps{zp("a", enforce, app("web"))}, nil, "zp a Enforce"},
		"a policy that selects other pods does not":            {zps{zp("a", enforce, app("db"))}, nil, ""},
		"a policy of another namespace does not":               {zps{zp("a", enforce, inNamespace("bank"))}, nil, ""},
		"a policy for this container governs it":               {zps{zp("a", enforce, containers("log", "app"))}, nil, "zp a Enforce"},
		"a policy for another container does not":              {zps{zp("a", enforce, containers("log"))}, nil, ""},
		"a policy that is being deleted does not":              {zps{zp("a", enforce, beingDeleted)}, nil, ""},
		"a cluster-wide one governs the namespaces it selects": {nil, czps{czp("a", enforce, ours)}, "czp a Enforce"},
		"a cluster-wide one does not govern other namespaces":  {nil, czps{czp("a", enforce, theirs)}, ""},
		"a cluster-wide one does not govern other pods":        {nil, czps{czp("a", enforce, ours, app("db"))}, ""},
		"a cluster-wide one does not govern other containers":  {nil, czps{czp("a", enforce, ours, containers("log"))}, ""},
		"a cluster-wide one being deleted does not govern":     {nil, czps{czp("a", enforce, ours, beingDeleted)}, ""},
		"a policy without a mode is a dry run":                 {zps{zp("a", "")}, nil, "zp a DryRun"},
		"a policy of an unknown mode is a dry run":             {zps{zp("a", "Later")}, nil, "zp a DryRun"},
		"a policy that is paused governs all the same":         {zps{zp("a", paused), zp("b", enforce)}, nil, "zp a Paused"},
		"namespaced comes before cluster-wide": {
			zps{zp("z", enforce, priority(-1000), bornLater(time.Hour))}, czps{czp("a", enforce, ours, priority(1000))}, "zp z Enforce",
		},
		"the higher priority comes first whatever the age and name": {
			zps{zp("a", enforce), zp("z", dryRun, priority(1), bornLater(time.Hour))}, nil, "zp z DryRun",
		},
		"the higher priority comes first among cluster-wide ones too": {
			nil, czps{czp("a", enforce, ours, priority(-2)), czp("z", enforce, ours, priority(-1), bornLater(time.Hour))}, "czp z Enforce",
		},
		"of one priority the older comes first whatever the name": {
			zps{zp("a", enforce, bornLater(time.Second)), zp("z", dryRun)}, nil, "zp z DryRun",
		},
		"of one priority and age the first by name comes first": {
			zps{zp("c", enforce), zp("a", dryRun), zp("b", enforce)}, nil, "zp a DryRun",
		},
		"the next governs when the first is not about the container": {
			zps{zp("a", enforce, priority(9), containers("log")), zp("b", dryRun)}, nil, "zp b DryRun",
		},
		"the cluster-wide one governs when the namespaced is not about the container": {
			zps{zp("a", dryRun, containers("log"))}, czps{czp("c", enforce, ours)}, "czp c Enforce",
		},
		"the next governs when the first is being deleted": {
			zps{zp("a", enforce, priority(9), beingDeleted), zp("b", dryRun)}, nil, "zp b DryRun",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantWhateverTheOrder(t, tc.want, tc.zps, tc.czps)
		})
	}
}

func TestGovernCeilings(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		zps  zps
		czps czps
		want string
	}{
		"a cluster-wide one that enforces holds nothing back":     {zps{zp("a", enforce)}, czps{czp("c", enforce, ours)}, "zp a Enforce"},
		"a cluster-wide one that enforces does not raise a mode":  {zps{zp("a", dryRun)}, czps{czp("c", enforce, ours)}, "zp a DryRun"},
		"Paused holds a namespaced one that enforces":             {zps{zp("a", enforce)}, czps{czp("c", paused, ours)}, "zp a Paused by c"},
		"Paused holds a namespaced dry run":                       {zps{zp("a", dryRun)}, czps{czp("c", paused, ours)}, "zp a Paused by c"},
		"DryRun holds a namespaced one that enforces":             {zps{zp("a", enforce)}, czps{czp("c", dryRun, ours)}, "zp a DryRun by c"},
		"a mode left out holds as the DryRun that it is":          {zps{zp("a", enforce)}, czps{czp("c", "", ours)}, "zp a DryRun by c"},
		"what is paused by itself is held by none":                {zps{zp("a", paused)}, czps{czp("c", paused, ours)}, "zp a Paused"},
		"what is a dry run by itself is held by none":             {zps{zp("a", dryRun)}, czps{czp("c", dryRun, ours)}, "zp a DryRun"},
		"Paused holds another cluster-wide one":                   {nil, czps{czp("a", enforce, ours, priority(9)), czp("c", paused, ours)}, "czp a Paused by c"},
		"Paused holds a cluster-wide dry run":                     {nil, czps{czp("a", dryRun, ours, priority(9)), czp("c", paused, ours)}, "czp a Paused by c"},
		"DryRun does not hold another cluster-wide one":           {nil, czps{czp("a", enforce, ours, priority(9)), czp("c", dryRun, ours)}, "czp a Enforce"},
		"a cluster-wide one is not held by itself":                {nil, czps{czp("a", paused, ours)}, "czp a Paused"},
		"Paused is named before DryRun":                           {zps{zp("a", enforce)}, czps{czp("b", dryRun, ours), czp("c", paused, ours)}, "zp a Paused by c"},
		"of several that pause the first by name is named":        {zps{zp("a", enforce)}, czps{czp("d", paused, ours, priority(9)), czp("c", paused, ours)}, "zp a Paused by c"},
		"of several that hold to DryRun the first by name is":     {zps{zp("a", enforce)}, czps{czp("d", dryRun, ours, priority(9)), czp("c", dryRun, ours)}, "zp a DryRun by c"},
		"one for other namespaces holds nothing back":             {zps{zp("a", enforce)}, czps{czp("c", paused, theirs)}, "zp a Enforce"},
		"one for other pods holds nothing back":                   {zps{zp("a", enforce)}, czps{czp("c", paused, ours, app("db"))}, "zp a Enforce"},
		"one for other containers holds nothing back":             {zps{zp("a", enforce)}, czps{czp("c", paused, ours, containers("log"))}, "zp a Enforce"},
		"one for this container holds it":                         {zps{zp("a", enforce)}, czps{czp("c", paused, ours, containers("app"))}, "zp a Paused by c"},
		"one that is being deleted holds nothing back":            {zps{zp("a", enforce)}, czps{czp("c", paused, ours, beingDeleted)}, "zp a Enforce"},
		"a lowest priority holds as well as any":                  {zps{zp("a", enforce, priority(1000))}, czps{czp("c", paused, ours, priority(-1000))}, "zp a Paused by c"},
		"another namespaced one that is paused holds nothing":     {zps{zp("a", enforce, priority(1)), zp("b", paused)}, nil, "zp a Enforce"},
		"a ceiling without a policy to govern governs by itself":  {nil, czps{czp("c", dryRun, ours)}, "czp c DryRun"},
		"one that pauses elsewhere leaves the one that binds":     {zps{zp("a", enforce)}, czps{czp("b", paused, theirs), czp("c", dryRun, ours)}, "zp a DryRun by c"},
		"one that pauses another container leaves one that binds": {zps{zp("a", enforce)}, czps{czp("b", paused, ours, containers("log")), czp("c", dryRun, ours)}, "zp a DryRun by c"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantWhateverTheOrder(t, tc.want, tc.zps, tc.czps)
		})
	}
}

func TestGovernTellsThePolicyItself(t *testing.T) {
	t.Parallel()
	namespaced, clusterWide := zps{zp("other", enforce, app("db")), zp("a", enforce)}, czps{czp("c", dryRun, ours)}
	got, ok := New(namespaced, clusterWide).Govern(web)
	want := Ruling{
		Reference: v1alpha1.PolicyReference{Kind: "ZombiePolicy", Name: "a", Generation: 4},
		Spec:      namespaced[1].Spec, Object: &namespaced[1], Mode: dryRun, HeldBy: "c",
	}
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Errorf("Govern() = %t (-want +got):\n%s", ok, diff)
	}
	got, ok = New(nil, clusterWide).Govern(web)
	want = Ruling{
		Reference: v1alpha1.PolicyReference{Kind: "ClusterZombiePolicy", Name: "c", Generation: 4},
		Spec:      clusterWide[0].Spec.ZombiePolicySpec, Object: &clusterWide[0], Mode: dryRun,
	}
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Errorf("Govern() = %t (-want +got):\n%s", ok, diff)
	}
}

func TestGovernAny(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		zps  zps
		czps czps
		want []string
	}{
		"without policies there is no ruling":                     {nil, nil, nil},
		"a policy for all containers rules":                       {zps{zp("a", enforce)}, nil, []string{"zp a Enforce"}},
		"a policy for some containers rules":                      {zps{zp("a", enforce, containers("log"))}, nil, []string{"zp a Enforce"}},
		"a policy that selects other pods does not":               {zps{zp("a", enforce, app("db"), containers("log"))}, nil, nil},
		"what another covers wholly does not rule":                {zps{zp("a", enforce, priority(1)), zp("b", enforce)}, nil, []string{"zp a Enforce"}},
		"what another covers for its only container does not":     {zps{zp("a", enforce, priority(1)), zp("b", enforce, containers("log"))}, nil, []string{"zp a Enforce", "zp a Enforce"}},
		"what another leaves containers to rules those":           {zps{zp("a", enforce, priority(1), containers("log")), zp("b", enforce)}, nil, []string{"zp b Enforce", "zp a Enforce"}},
		"a cluster-wide one rules what a namespaced one leaves":   {zps{zp("a", enforce, containers("log"))}, czps{czp("c", enforce, ours)}, []string{"czp c Enforce", "zp a Enforce"}},
		"a ceiling on one container is one more ruling":           {zps{zp("a", enforce)}, czps{czp("c", paused, ours, containers("log"))}, []string{"zp a Enforce", "zp a Paused by c"}},
		"a ceiling that selects other pods brings no further one": {zps{zp("a", enforce)}, czps{czp("c", paused, ours, app("db"), containers("log"))}, []string{"zp a Enforce"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, ruling := range New(tc.zps, tc.czps).GovernAny(web) {
				got = append(got, inShort(ruling, true))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("GovernAny() (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzOrderDoesNotMatter makes policies of random bytes, three to a policy, and rules on them in order and shuffled.
func FuzzOrderDoesNotMatter(f *testing.F) {
	f.Add(uint64(1), []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20})
	f.Add(uint64(2), []byte("all policies of one priority and age, which only their names tell apart"))
	random := rand.New(rand.NewPCG(3, 4))
	for seed := range uint64(64) {
		raw := make([]byte, 3*random.IntN(20))
		for i := range raw {
			raw[i] = byte(random.UintN(256))
		}
		f.Add(seed, raw)
	}
	f.Fuzz(func(t *testing.T, seed uint64, raw []byte) {
		t.Parallel()
		namespaced, clusterWide := madeOf(raw)
		before := rulings(namespaced, clusterWide)
		shuffle := rand.New(rand.NewPCG(seed, 0))
		shuffle.Shuffle(len(namespaced), func(i, j int) { namespaced[i], namespaced[j] = namespaced[j], namespaced[i] })
		shuffle.Shuffle(len(clusterWide), func(i, j int) { clusterWide[i], clusterWide[j] = clusterWide[j], clusterWide[i] })
		if diff := cmp.Diff(before, rulings(namespaced, clusterWide)); diff != "" {
			t.Errorf("another order rules otherwise:\n%s", diff)
		}
	})
}

func madeOf(raw []byte) (zps, czps) {
	var namespaced zps
	var clusterWide czps
	modes := []v1alpha1.PolicyMode{dryRun, enforce, paused, ""}
	for i := 0; i+2 < len(raw); i += 3 {
		name, mode := "p"+strconv.Itoa(i), modes[raw[i]%4]
		changes := []change{priority(int32(raw[i+1] % 3)), bornLater(time.Duration(raw[i+1]/3%2) * time.Second)}
		if raw[i+1] > 127 {
			changes = append(changes, containers("app"))
		}
		if raw[i+2]%5 == 0 {
			changes = append(changes, app("web"))
		}
		if raw[i+2] > 127 {
			namespaced = append(namespaced, zp(name, mode, changes...))
		} else {
			clusterWide = append(clusterWide, czp(name, mode, ours, changes...))
		}
	}
	return namespaced, clusterWide
}

// rulings are those on a few subjects, the same policies ruling on all of them.
func rulings(namespaced zps, clusterWide czps) []string {
	policies := New(namespaced, clusterWide)
	var all []string
	for _, container := range []string{"app", "log"} {
		for _, label := range []string{"web", "db"} {
			for _, namespace := range []string{"shop", "bank"} {
				subject := Subject{
					Namespace: namespace, NamespaceLabels: web.NamespaceLabels,
					PodLabels: map[string]string{"app": label}, Container: container,
				}
				all = append(all, inShort(policies.Govern(subject)))
				for _, ruling := range policies.GovernAny(subject) {
					all = append(all, inShort(ruling, true))
				}
			}
		}
	}
	return all
}
