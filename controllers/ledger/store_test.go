package ledger

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

const namespace = "zombie-system"

func newAPI(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
}

func configMap(data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: Name, Labels: map[string]string{"app": "x"}}, Data: data}
}

func mustLoad(t *testing.T, s *Store) Edition {
	t.Helper()
	e, err := s.Load(t.Context())
	if err != nil {
		t.Fatalf("Load() = %v", err)
	}
	return e
}

func mustSave(t *testing.T, s *Store, read Edition, next Book) Edition {
	t.Helper()
	e, err := s.Save(t.Context(), read, next, now)
	if err != nil {
		t.Fatalf("Save() = %v", err)
	}
	return e
}

// whole is a book in which every field is set, with times as a program has them.
func whole() Book {
	u := unit(app, true)
	u.Restart, u.Action, u.Word, u.Message = true, "RestartContainer", "Restart", "Restart container app."
	p := position(db, time.Minute)
	p.Restarted, p.Rung, p.Tries, p.Await, p.Seen, p.DisruptedAt = true, 3, 2, true, "0123456789abcdef", now.Add(-time.Second)
	p.StoppedAt = now.Add(-time.Hour)
	return Book{Units: []Unit{u}, Positions: []Position{{Target: app, Policy: "p", ContainerID: "id", Attempts: 1}, p}, Dropped: 7}
}

func TestABookIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	api := newAPI(t)
	s := NewStore(api, namespace)
	first := mustLoad(t, s)
	if diff := cmp.Diff(Book{}, first.Book); diff != "" {
		t.Errorf("without a ledger (-want +got):\n%s", diff)
	}
	local := whole()
	local.Units[0].ReservedAt = local.Units[0].ReservedAt.In(time.FixedZone("elsewhere", 3600))
	saved := mustSave(t, s, first, local)
	read := mustLoad(t, NewStore(api, namespace))
	if diff := cmp.Diff(whole(), read.Book); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	next := whole().Settle(unit(app, true), position(app, 0))
	mustSave(t, s, saved, next)
	if diff := cmp.Diff(next.Trim(now), mustLoad(t, s).Book, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("changed with the edition that was saved (-want +got):\n%s", diff)
	}
}

func TestALedgerIsTrimmedAsItIsSaved(t *testing.T) {
	t.Parallel()
	s := NewStore(newAPI(t), namespace)
	saved := mustSave(t, s, mustLoad(t, s), Book{Positions: []Position{position(app, Retention), position(db, 0)}})
	want := Book{Positions: []Position{position(db, 0)}}
	if diff := cmp.Diff(want, saved.Book); diff != "" {
		t.Errorf("saved (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, mustLoad(t, s).Book); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func TestWhoReadsBeforeAnotherWritesMustReadAgain(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		objects []client.Object
		is      func(error) bool
	}{
		"when both make the first ledger": {nil, apierrors.IsAlreadyExists},
		"when both change one":            {[]client.Object{configMap(nil)}, apierrors.IsConflict},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := newAPI(t, tc.objects...)
			one, two := NewStore(api, namespace), NewStore(api, namespace)
			mine, theirs := mustLoad(t, one), mustLoad(t, two)
			mustSave(t, two, theirs, Book{Units: []Unit{unit(db, true)}})
			_, err := one.Save(t.Context(), mine, Book{Units: []Unit{unit(app, true)}}, now)
			if !tc.is(err) {
				t.Errorf("Save() = %v, want a conflict", err)
			}
			if diff := cmp.Diff(Book{Units: []Unit{unit(db, true)}}, mustLoad(t, one).Book); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
			mustSave(t, one, mustLoad(t, one), Book{Units: []Unit{unit(app, true)}})
		})
	}
}

func TestAnEditionServesOneChange(t *testing.T) {
	t.Parallel()
	s := NewStore(newAPI(t, configMap(nil)), namespace)
	read := mustLoad(t, s)
	mustSave(t, s, read, Book{Units: []Unit{unit(db, true)}})
	if _, err := s.Save(t.Context(), read, Book{Units: []Unit{unit(app, true)}}, now); !apierrors.IsConflict(err) {
		t.Errorf("Save() = %v, want a conflict", err)
	}
}

func TestALedgerThatIsGoneIsNotMadeAnewByAChange(t *testing.T) {
	t.Parallel()
	api := newAPI(t, configMap(nil))
	s := NewStore(api, namespace)
	read := mustLoad(t, s)
	if err := api.Delete(t.Context(), configMap(nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(t.Context(), read, Book{Units: []Unit{unit(app, true)}}, now); !apierrors.IsNotFound(err) {
		t.Errorf("Save() = %v, want not found", err)
	}
}

func TestWhatElseIsOnTheObjectStays(t *testing.T) {
	t.Parallel()
	api := newAPI(t, configMap(map[string]string{"ledger.json": `{"units":null}`}))
	s := NewStore(api, namespace)
	mustSave(t, s, mustLoad(t, s), whole())
	var stored corev1.ConfigMap
	if err := api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: Name}, &stored); err != nil {
		t.Fatal(err)
	}
	if stored.Labels["app"] != "x" {
		t.Errorf("labels %v", stored.Labels)
	}
}

func TestALedgerThatCannotBeUnderstoodIsNotAnEmptyOne(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":    "",
		"no JSON":    "units: []",
		"cut off":    `{"units":[{"podUID":"web"`,
		"wrong type": `{"units":{"web":1}}`,
		"wrong time": `{"units":[{"reservedAt":"yesterday"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := NewStore(newAPI(t, configMap(map[string]string{"ledger.json": text})), namespace)
			_, err := s.Load(t.Context())
			if err == nil || !strings.Contains(err.Error(), "ConfigMap zombie-system/zombie-operator-ledger") {
				t.Errorf("Load() = %v, want an error that names the ConfigMap", err)
			}
		})
	}
}

func TestALedgerThatCannotBeReadOrSavedIsAnError(t *testing.T) {
	t.Parallel()
	refusal := errors.New("etcd is frozen")
	api := interceptor.NewClient(newAPI(t), interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return refusal
		},
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return refusal },
	})
	s := NewStore(api, namespace)
	if _, err := s.Load(t.Context()); !errors.Is(err, refusal) {
		t.Errorf("Load() = %v, want the refusal", err)
	}
	if _, err := s.Save(t.Context(), Edition{}, Book{}, now); !errors.Is(err, refusal) {
		t.Errorf("Save() = %v, want the refusal", err)
	}
}
