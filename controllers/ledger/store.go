package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// Name is the name of the ConfigMap that holds the book.
	Name = "zombie-operator-ledger"
	// key is where in it the book is, as JSON.
	key = "ledger.json"
)

// Store reads and changes the book.
type Store struct {
	client    client.Client
	namespace string
}

// NewStore returns a store in the operator's namespace. The client must read ConfigMaps from the API server and not from
// a cache.
func NewStore(c client.Client, namespace string) *Store {
	return &Store{client: c, namespace: namespace}
}

// Edition is a book as it was read; only the next change to it can be saved.
type Edition struct {
	Book Book

	stored *corev1.ConfigMap
}

// Load reads the book. Without one it is empty. One that cannot be understood is an error, and not an empty book: the limits
// in it would be gone.
func (s *Store) Load(ctx context.Context) (Edition, error) {
	stored := &corev1.ConfigMap{}
	err := s.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: Name}, stored)
	if apierrors.IsNotFound(err) {
		return Edition{}, nil
	}
	if err != nil {
		return Edition{}, fmt.Errorf("reading the ledger: %w", err)
	}
	e := Edition{stored: stored}
	if raw, ok := stored.Data[key]; ok {
		if err := json.Unmarshal([]byte(raw), &e.Book); err != nil {
			return Edition{}, fmt.Errorf("understanding the ledger (ConfigMap %s/%s; mend it, or delete it to forget all limits): %w", s.namespace, Name, err)
		}
	}
	return e, nil
}

// Save stores the next book in place of the one that was read, and fails with a conflict when that is not the stored one
// any more. It returns the edition to change next.
func (s *Store) Save(ctx context.Context, read Edition, next Book, now time.Time) (Edition, error) {
	next = next.Trim(now)
	raw, err := json.Marshal(next)
	if err != nil {
		return Edition{}, fmt.Errorf("writing down the ledger: %w", err)
	}
	stored := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: Name}}
	if read.stored != nil {
		stored = read.stored.DeepCopy()
	}
	stored.Data = map[string]string{key: string(raw)}
	if read.stored == nil {
		err = s.client.Create(ctx, stored)
	} else {
		err = s.client.Update(ctx, stored)
	}
	if err != nil {
		return Edition{}, fmt.Errorf("saving the ledger: %w", err)
	}
	return Edition{Book: next, stored: stored}, nil
}
