// Package remedy executes the ZombieRemediations of one node: each act at most once, whatever fails or crashes meanwhile.
// What an act is, the packages of the kinds of act know.
package remedy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// The agent reads remediations and writes their status, and nothing else of them. It does not create, change or delete any.
//
// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombieremediations,verbs=get;list;watch
// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombieremediations/status,verbs=update

// callTimeout bounds each call to the API server. It is set per call, as a limit of the whole client would cut the watch.
const callTimeout = 10 * time.Second

// Self says which agent this is.
type Self struct {
	// Node is the name of its node.
	Node string
	// BootID is the present boot of the node.
	BootID string
	// PodUID is the UID of its pod; empty when it runs in none.
	PodUID string
}

// Reconciler executes the remediations of one node.
type Reconciler struct {
	cache  client.Reader
	server client.Client
	self   Self
	kinds  map[v1alpha1.RemediationAction]act.Kind
	now    func() time.Time
	log    *slog.Logger

	attempts *attempts
	// looks has room for each look that may be taken at the same time.
	looks chan struct{}
}

// New returns a Reconciler. The server is the API server itself, with no cache between. Actions without a kind are ended as
// not supported. now is the clock.
func New(cache client.Reader, server client.Client, self Self, kinds map[v1alpha1.RemediationAction]act.Kind, now func() time.Time, log *slog.Logger) *Reconciler {
	return &Reconciler{
		cache: cache, server: server, self: self, kinds: kinds, now: now, log: log,
		attempts: newAttempts(), looks: make(chan struct{}, lookers),
	}
}

func (r *Reconciler) here() place {
	able := make(map[v1alpha1.RemediationAction]bool, len(r.kinds))
	for action := range r.kinds {
		able[action] = true
	}
	return place{node: r.self.Node, boot: r.self.BootID, able: able, now: r.now()}
}

// Reconcile takes one remediation as far as it goes. The cache only tells whether there may be something to do; what is
// done is decided on what the API server has now, because a cache may show a remediation as it was before it ended.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var cached v1alpha1.ZombieRemediation
	err := r.cache.Get(ctx, req.NamespacedName, &cached)
	switch gone := apierrors.IsNotFound(err); {
	case err != nil && !gone:
		return reconcile.Result{}, fmt.Errorf("reading cached remediation: %w", err)
	case gone, is(&cached, v1alpha1.ConditionCompleted):
		r.attempts.forget(req.NamespacedName)
		return reconcile.Result{}, nil
	}
	if next(&cached, r.attempts.of(req.NamespacedName, cached.UID), r.here()).step == leave {
		return reconcile.Result{}, nil
	}
	live, err := r.read(ctx, req.NamespacedName)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil // its deletion is on its way to the cache
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, r.step(ctx, live)
}

func (r *Reconciler) step(ctx context.Context, live *v1alpha1.ZombieRemediation) error {
	mine := r.attempts.of(client.ObjectKeyFromObject(live), live.UID)
	switch d := next(live, mine, r.here()); d.step {
	case begin:
		return r.begin(ctx, live, mine)
	case settle:
		return r.settle(ctx, live, mine)
	case record:
		return r.record(ctx, live, mine, d.end)
	case leave:
	}
	return nil
}

// read reads a remediation as the API server has it now.
func (r *Reconciler) read(ctx context.Context, key types.NamespacedName) (*v1alpha1.ZombieRemediation, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var live v1alpha1.ZombieRemediation
	if err := r.server.Get(ctx, key, &live); err != nil {
		return nil, fmt.Errorf("reading remediation: %w", err)
	}
	return &live, nil
}

// write stores the status of a remediation, if nobody else changed the remediation since it was read.
func (r *Reconciler) write(ctx context.Context, rem *v1alpha1.ZombieRemediation) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return r.server.Status().Update(ctx, rem) //nolint:wrapcheck // the callers say what they were writing
}

// begin claims a remediation, looks at the target, stores the intent, and acts.
func (r *Reconciler) begin(ctx context.Context, rem *v1alpha1.ZombieRemediation, mine attempt) error {
	mine, err := r.claim(ctx, rem, mine)
	if err != nil {
		return err
	}
	prepared, err := r.prepare(ctx, rem)
	if notDone, ok := errors.AsType[*act.NotDoneError](err); ok {
		return r.record(ctx, rem, mine, ending{outcome: notDone.Outcome, message: notDone.Message})
	}
	if err != nil {
		return fmt.Errorf("preparing act: %w", err)
	}
	defer prepared.Close()
	live, err := r.intend(ctx, rem, mine, prepared.Before())
	if err != nil || live == nil {
		return err
	}
	return r.act(ctx, live, mine, prepared)
}

// prepare takes the last look, when it is its turn.
func (r *Reconciler) prepare(ctx context.Context, rem *v1alpha1.ZombieRemediation) (act.Prepared, error) {
	select {
	case r.looks <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err() //nolint:wrapcheck // the caller says what it was doing
	}
	defer func() { <-r.looks }()
	return r.kinds[rem.Spec.Action].Prepare(ctx, rem) //nolint:wrapcheck // the caller looks for a *act.NotDoneError
}

// claim marks a remediation as taken up by this process. A claim of an earlier agent that stored no intent is replaced:
// nothing was done under it. None is made once the agent was told to end.
func (r *Reconciler) claim(ctx context.Context, rem *v1alpha1.ZombieRemediation, mine attempt) (attempt, error) {
	if err := ctx.Err(); err != nil {
		return mine, fmt.Errorf("claiming remediation: %w", err)
	}
	if marked(rem, mine) {
		return mine, nil
	}
	if mine.id == "" {
		mine.id = rand.Text()
		r.attempts.keep(client.ObjectKeyFromObject(rem), mine)
	}
	setClaimed(rem, mine.id, r.self.BootID, r.self.PodUID, r.now())
	if err := r.write(ctx, rem); err != nil {
		return mine, fmt.Errorf("claiming remediation: %w", err)
	}
	return mine, nil
}

// intend stores the intent to act and reads it back. It returns the remediation as it is stored, or none when this
// process must not act. Whatever the answer to the write was, only what is stored counts: an answer may be lost, and
// the remediation may have been cancelled, ended or deleted meanwhile.
func (r *Reconciler) intend(ctx context.Context, rem *v1alpha1.ZombieRemediation, mine attempt, before int32) (*v1alpha1.ZombieRemediation, error) {
	var wrote error
	if !is(rem, v1alpha1.ConditionExecuting) {
		intent := rem.DeepCopy()
		setExecuting(intent, before, r.now())
		wrote = r.write(ctx, intent)
	}
	live, err := r.read(ctx, client.ObjectKeyFromObject(rem))
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // deleted: there is nothing to do, and nothing failed
	}
	if err != nil {
		return nil, errors.Join(wrote, err)
	}
	if mayAct(live, mine) {
		return live, nil
	}
	if wrote != nil {
		return nil, fmt.Errorf("storing intent to act: %w", wrote)
	}
	r.log.Info("Not acting: the remediation changed meanwhile", "namespace", rem.Namespace, "remediation", rem.Name)
	return nil, nil //nolint:nilnil // somebody else ended it, which is as good
}

// act acts, once.
func (r *Reconciler) act(ctx context.Context, live *v1alpha1.ZombieRemediation, mine attempt, prepared act.Prepared) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // told to end: the next agent settles what is stored
	}
	mine.begun = true
	r.attempts.keep(client.ObjectKeyFromObject(live), mine)
	r.log.Info("Acting", "namespace", live.Namespace, "remediation", live.Name, "action", live.Spec.Action,
		"pod", live.Spec.PodName, "container", live.Spec.ContainerName)
	result, err := prepared.Do(ctx)
	var notDone *act.NotDoneError
	switch {
	case errors.As(err, &notDone):
		return r.record(ctx, live, mine, ending{outcome: notDone.Outcome, message: notDone.Message})
	case ctx.Err() != nil && err != nil:
		return nil //nolint:nilerr // told to end: the next agent settles it
	case err != nil:
		return fmt.Errorf("acting: %w", err) // and settled when it is tried again
	}
	return r.record(ctx, live, mine, told(result))
}

// settle finds out how an act ended that was begun and has no result: by an earlier agent, mostly.
func (r *Reconciler) settle(ctx context.Context, live *v1alpha1.ZombieRemediation, mine attempt) error {
	result, err := r.kinds[live.Spec.Action].Settle(ctx, live)
	if err != nil {
		return fmt.Errorf("settling act: %w", err)
	}
	return r.record(ctx, live, mine, told(result))
}

func told(result act.Result) ending {
	return ending{outcome: result.Outcome, message: result.Message, after: &result.After}
}

// record stores how a remediation ended. Until that worked the ending is kept in memory, and never found out anew. It is
// stored even when the agent was just told to end, as the next one could not know it.
func (r *Reconciler) record(ctx context.Context, rem *v1alpha1.ZombieRemediation, mine attempt, end ending) error {
	key := client.ObjectKeyFromObject(rem)
	mine.end = &end
	r.attempts.keep(key, mine)
	rem = rem.DeepCopy()
	setCompleted(rem, end, r.now())
	err := r.write(context.WithoutCancel(ctx), rem)
	if apierrors.IsNotFound(err) {
		r.attempts.forget(key)
		return nil
	}
	if err != nil {
		return fmt.Errorf("storing outcome %s: %w", end.outcome, err)
	}
	r.log.Info("Remediation ended", "namespace", rem.Namespace, "remediation", rem.Name, "pod", rem.Spec.PodName,
		"container", rem.Spec.ContainerName, "outcome", end.outcome, "message", rem.Status.Message)
	return nil
}
