package agent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

func TestRecallHandsOverOnce(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	ages := []v1alpha1.AgeCount{{MinAgeSeconds: 30, Zombies: 2}}
	r := NewRecall()
	r.Remember("uid", v1alpha1.Observed{Containers: []v1alpha1.ContainerObservation{
		{ContainerID: "aaaa", Ages: ages, Parents: []v1alpha1.Parent{
			{OldestZombieTime: metav1.NewTime(noon)}, {OldestZombieTime: metav1.NewTime(noon.Add(-time.Hour))},
		}},
		{ContainerID: "bbbb", Ages: ages}, // no parent tells since when
	}})
	for name, of := range map[string][2]string{
		"another pod":                {"other", "aaaa"},
		"another container":          {"uid", "cccc"},
		"a container without parent": {"uid", "bbbb"},
	} {
		if _, _, ok := r.take(of[0], of[1]); ok {
			t.Errorf("something was known of %s", name)
		}
	}
	got, oldest, ok := r.take("uid", "aaaa")
	if diff := cmp.Diff(ages, got); diff != "" || !ok || !oldest.Equal(noon.Add(-time.Hour)) {
		t.Errorf("take() = %v, %s, %t", got, oldest, ok)
	}
	if _, _, ok := r.take("uid", "aaaa"); ok {
		t.Error("it was handed over twice")
	}
}
