// Package peek looks at what the file systems of containers hold. They are foreign: they may be made to lead elsewhere, and they
// may hang. So nothing outside of the container is ever opened, nothing but regular files is read, and one goroutine at a time does
// it all. One that hangs is given up: it stays where it hangs, nothing is asked of its container until it returns, and another one
// goes on with the others.
package peek

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
)

const (
	// maxQueue is how many questions wait. What finds no room is asked again at the next look; a look asks two questions of each
	// parent of zombies.
	maxQueue = 256
	// maxAnswers is how many answers are kept, at about 200 bytes each. It is more than a node has containers with zombies.
	maxAnswers = 4096
	// within is how long it may take to answer one question, unless a single call hangs. It is some fifty look-ups of names and a
	// few reads: milliseconds on a file system that answers.
	within = 2 * time.Second
	// hungAfter is how long one answer may take before it is given up and that is told: within is looked at between calls, and five
	// times as long is no call that is only slow.
	hungAfter = 5 * within
	// Places is how many looks may hang at a time, each with a thread. A container takes one; when all are taken, no further look
	// begins. Four tenants that hang at once have one cause, a storage server that is away, and more threads would meet it too.
	Places = 4
	// renewAfter is how old an answer may be before it is asked for again: a process may have become another program.
	renewAfter = 10 * time.Minute
	// retryAfter is how long after a look that failed it is looked again: soon, as what was busy then may answer now. A look that read
	// or took too much is as dear the next time, and many of them would leave no time for others: it is renewed as an answer is.
	retryAfter = time.Minute
)

// process tells processes apart.
type process interface {
	Process(pid int) (kernel.Process, error)
	Threads(pid int) (kernel.Threads, error)
}

type kind int

const (
	initInImage kind = iota
	goProgram
)

type question struct {
	kind kind
	// container is PID 1 of the container whose file system is looked at, of the process that is asked about.
	container, of scan.Key
}

// answer is the zero value where nothing is known.
type answer struct {
	path string
	isGo bool
	// known is whether it is known if the program is a Go program.
	known bool
}

type kept struct {
	answer
	// askAt is when it is asked again.
	askAt time.Time
}

// look is a question that is being answered, and since when.
type look struct {
	question
	since time.Time
}

var (
	errHangs = errors.New("until the file system of a container answers, nothing new is known of its Go programs and of inits in its image")
	errFull  = errors.New("until one of these file systems answers, nothing new is known of the Go programs and of inits in the image " +
		"of any container of the node")
)

// Worker looks into containers. Its methods but Run never wait, and are safe for concurrent use.
type Worker struct {
	procRoot string
	proc     process
	queue    chan question
	// look answers a question. It may hang.
	look func(q question, deadline time.Time) (answer, error)

	// places are taken by looks, until they return.
	places chan struct{}

	mu      sync.Mutex
	answers map[question]kept
	// looks are those that have not returned, by container.
	looks map[scan.Key]look
}

// New returns a Worker that looks below the proc mount at procRoot. It works while Run runs.
func New(procRoot string) (*Worker, error) {
	proc, err := kernel.New(procRoot)
	if err != nil {
		return nil, fmt.Errorf("making a worker that looks into containers: %w", err)
	}
	w := &Worker{
		procRoot: procRoot, proc: proc,
		queue: make(chan question, maxQueue), places: make(chan struct{}, Places),
		answers: map[question]kept{}, looks: map[scan.Key]look{},
	}
	w.look = w.lookOnce
	return w, nil
}

// Run answers questions, one after the other, until the context ends. A look that hangs then is left behind.
func (w *Worker) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-w.queue:
			w.answer(ctx, q)
		}
	}
}

// answer returns when a question is answered, or the look for it is given up.
func (w *Worker) answer(ctx context.Context, q question) {
	select {
	case <-ctx.Done():
		return
	case w.places <- struct{}{}: // it waits while a look hangs in each of them
	}
	if !w.begin(q) {
		<-w.places
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { <-w.places }()
		a, err := w.look(q, time.Now().Add(within))
		w.end(q, a, err)
	}()
	timer := time.NewTimer(hungAfter)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-done:
	case <-timer.C: // the look keeps its place until it returns
	}
}

// begin notes that a look begins, and says whether it may: not when an earlier one into the same container was given up. Then the
// question is to be asked again when that has returned.
func (w *Worker) begin(q question) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, hangs := w.looks[q.container]; hangs {
		if k, ok := w.answers[q]; ok {
			k.askAt = time.Time{}
			w.answers[q] = k
		}
		return false
	}
	w.looks[q.container] = look{question: q, since: time.Now()}
	return true
}

// end keeps an answer. A look that failed does not take away what an earlier one found.
func (w *Worker) end(q question, a answer, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	took := time.Since(w.looks[q.container].since)
	delete(w.looks, q.container)
	k, ok := w.answers[q]
	switch {
	case !ok:
		return // it was dropped to make room
	case err == nil:
		k.answer = a
	case !errors.Is(err, errTooMuch) && took < within:
		k.askAt = time.Now().Add(retryAfter)
	}
	w.answers[q] = k
}

// Hung fails while a look does not return. It names the process on the host that the first of them looks at.
func (w *Worker) Hung() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	hung := slices.Collect(maps.Values(w.looks))
	hung = slices.DeleteFunc(hung, func(l look) bool { return time.Since(l.since) < hungAfter })
	if len(hung) == 0 {
		return nil
	}
	first := slices.MinFunc(hung, func(a, b look) int { return a.since.Compare(b.since) })
	why := errHangs
	if len(hung) == Places {
		why = errFull
	}
	return fmt.Errorf("looks that hang: %d of at most %d, the first at process %d since %s: %w",
		len(hung), Places, first.of.PID, first.since.UTC().Format(time.RFC3339), why)
}

// InitInImage returns the path of an init in the image of a container whose PID 1 on the host is given and is no init; "" when there
// is none or it is not known yet.
func (w *Worker) InitInImage(init scan.Key) string {
	return w.ask(question{kind: initInImage, container: init, of: init}).path
}

// GoProgram says whether a process of a container, whose PID 1 is given, runs a Go program, if that is known yet.
func (w *Worker) GoProgram(container, process scan.Key) (isGo, known bool) {
	a := w.ask(question{kind: goProgram, container: container, of: process})
	return a.isGo, a.known
}

// ask returns what is known, and has the question answered when it is new or its answer is old.
func (w *Worker) ask(q question) answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	k, asked := w.answers[q]
	if asked && time.Now().Before(k.askAt) {
		return k.answer
	}
	select {
	case w.queue <- q:
	default:
		return k.answer
	}
	if !asked && len(w.answers) >= maxAnswers {
		for other := range w.answers { // whichever comes first
			delete(w.answers, other)
			break
		}
	}
	w.answers[q] = kept{answer: k.answer, askAt: time.Now().Add(renewAfter)}
	return k.answer
}
