// Package peek looks at what the file systems of containers hold. They are foreign: they may be made to lead elsewhere, and they
// may hang. So nothing outside of the container is ever opened, nothing but regular files is read, and one goroutine does it all:
// while it hangs, no second one is started, and what is asked is not known.
package peek

import (
	"context"
	"errors"
	"fmt"
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
	// hungAfter is how long one answer may take before that is told: within is looked at between calls, and five times as long is no
	// call that is only slow.
	hungAfter = 5 * within
	// renewAfter is how old an answer may be before it is asked for again: a process may have become another program.
	renewAfter = 10 * time.Minute
	// retryAfter is how long after a look that failed it is looked again: soon, as what was busy then may answer now, but not so
	// often that a program that cannot be read keeps the disk busy.
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
	of   scan.Key
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

var errHangs = errors.New("the file system of a container does not answer; whether programs are Go programs, and which inits images hold, " +
	"is told of no further container of the node until it does or the agent restarts")

// Worker looks into containers. Its methods but Run never wait, and are safe for concurrent use.
type Worker struct {
	procRoot string
	proc     process
	queue    chan question
	// look answers a question. It may hang.
	look func(q question, deadline time.Time) (answer, error)

	mu      sync.Mutex
	answers map[question]kept
	// at is what is being looked at, and since when; the zero time when nothing is.
	at      question
	atSince time.Time
}

// New returns a Worker that looks below the proc mount at procRoot. It works while Run runs.
func New(procRoot string) (*Worker, error) {
	proc, err := kernel.New(procRoot)
	if err != nil {
		return nil, fmt.Errorf("making a worker that looks into containers: %w", err)
	}
	w := &Worker{procRoot: procRoot, proc: proc, queue: make(chan question, maxQueue), answers: map[question]kept{}}
	w.look = w.lookOnce
	return w, nil
}

// Run answers questions until the context ends. While a file system hangs it does not return: do not wait for it.
func (w *Worker) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-w.queue:
			w.begin(q)
			a, err := w.look(q, time.Now().Add(within))
			w.keep(q, a, err)
		}
	}
}

func (w *Worker) begin(q question) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at, w.atSince = q, time.Now()
}

// Hung fails while a look does not come back: until it does, nothing new is learned of any container. It names the process on the
// host that was looked at.
func (w *Worker) Hung() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.atSince.IsZero() || time.Since(w.atSince) < hungAfter {
		return nil
	}
	return fmt.Errorf("looking at process %d since %s: %w", w.at.of.PID, w.atSince.UTC().Format(time.RFC3339), errHangs)
}

// keep keeps an answer. A look that failed does not take away what an earlier one found.
func (w *Worker) keep(q question, a answer, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.atSince = time.Time{}
	k, ok := w.answers[q]
	if !ok {
		return // it was dropped to make room
	}
	if err == nil {
		k.answer = a
	} else {
		k.askAt = time.Now().Add(retryAfter)
	}
	w.answers[q] = k
}

// InitInImage returns the path of an init in the image of a container whose PID 1 on the host is given and is no init; "" when there
// is none or it is not known yet.
func (w *Worker) InitInImage(init scan.Key) string {
	return w.ask(question{kind: initInImage, of: init}).path
}

// GoProgram says whether a process runs a Go program, if that is known yet.
func (w *Worker) GoProgram(process scan.Key) (isGo, known bool) {
	a := w.ask(question{kind: goProgram, of: process})
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
