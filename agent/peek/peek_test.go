package peek

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/scan"
)

// start starts a worker with a look of the test's own. It is stopped when the test ends.
func start(t *testing.T, look func(question, time.Time) (answer, error)) *Worker {
	t.Helper()
	w, stop := run(t, look)
	t.Cleanup(stop)
	return w
}

// run does the same, and returns what stops the worker and waits for that.
func run(t *testing.T, look func(question, time.Time) (answer, error)) (w *Worker, stop func()) {
	t.Helper()
	w, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w.look = look
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	return w, func() {
		cancel()
		<-done
	}
}

func TestWorkerAnswersAtALaterLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := map[question]int{}
		w := start(t, func(q question, _ time.Time) (answer, error) {
			asked[q]++
			return answer{path: "/usr/bin/tini", isGo: true, known: true}, nil
		})
		key := scan.Key{PID: 7, StartTicks: 6000}
		if path := w.InitInImage(key); path != "" {
			t.Errorf("path = %q before it was looked for, want none", path)
		}
		if isGo, known := w.GoProgram(key, key); isGo || known {
			t.Errorf("GoProgram() = %t, %t before it was looked at, want not known", isGo, known)
		}
		synctest.Wait()
		for range 3 { // what is known is not looked for again
			if path := w.InitInImage(key); path != "/usr/bin/tini" {
				t.Errorf("path = %q, want the one found", path)
			}
			if isGo, known := w.GoProgram(key, key); !isGo || !known {
				t.Errorf("GoProgram() = %t, %t, want a Go program", isGo, known)
			}
			synctest.Wait()
		}
		for q, n := range asked {
			if n != 1 {
				t.Errorf("looked %d times for %+v, want once", n, q)
			}
		}
		w.InitInImage(scan.Key{PID: 7, StartTicks: 6001})
		synctest.Wait()
		if len(asked) != 3 {
			t.Errorf("asked %v, want a later process with the same PID looked at by itself", asked)
		}
	})
}

func TestWorkerLooksAgainWhenAnAnswerIsOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := "/tini"
		w := start(t, func(question, time.Time) (answer, error) { return answer{path: path}, nil })
		w.InitInImage(scan.Key{PID: 7})
		synctest.Wait()
		path = "/usr/bin/tini"
		time.Sleep(renewAfter - time.Nanosecond)
		if got := w.InitInImage(scan.Key{PID: 7}); got != "/tini" {
			t.Errorf("path = %q, want the first", got)
		}
		synctest.Wait()
		time.Sleep(time.Nanosecond)
		if got := w.InitInImage(scan.Key{PID: 7}); got != "/tini" {
			t.Errorf("path = %q, want the old one until the new one is known", got)
		}
		synctest.Wait()
		if got := w.InitInImage(scan.Key{PID: 7}); got != "/usr/bin/tini" {
			t.Errorf("path = %q, want the new one", got)
		}
	})
}

func TestALookThatFailedKeepsTheAnswer(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fails error
		takes time.Duration
		again time.Duration
	}{
		"a look that failed at once is soon repeated":            {errGone, 0, retryAfter},
		"one that read too much is as dear the next time":        {errTooMuch, 0, renewAfter},
		"one that failed late is, too":                           {errGone, within, renewAfter - within},
		"one that failed after its container hung is a late one": {errGone, hungAfter, renewAfter - hungAfter},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var fails error
				looks := 0
				w := start(t, func(question, time.Time) (answer, error) {
					looks++
					if err := fails; err != nil {
						time.Sleep(tc.takes)
						return answer{}, err
					}
					return answer{isGo: true, known: true}, nil
				})
				ask := func(wantLooks int) {
					t.Helper()
					if isGo, known := w.GoProgram(scan.Key{PID: 1}, scan.Key{PID: 7}); wantLooks > 1 && (!isGo || !known) {
						t.Errorf("GoProgram() = %t, %t, want what was known", isGo, known)
					}
					synctest.Wait()
					if looks != wantLooks {
						t.Errorf("%d looks, want %d", looks, wantLooks)
					}
				}
				ask(1)
				fails = tc.fails
				time.Sleep(renewAfter)
				ask(2)
				time.Sleep(tc.takes)
				ask(2)
				time.Sleep(tc.again - time.Nanosecond)
				ask(2)
				time.Sleep(time.Nanosecond)
				ask(3)
				fails = nil
				time.Sleep(tc.takes + tc.again)
				ask(4)
				time.Sleep(renewAfter - time.Nanosecond)
				ask(4)
			})
		})
	}
}

// servers are the file systems of containers, which may be away.
type servers struct {
	mu sync.Mutex
	// away are those that do not answer, by PID 1 of their container.
	away map[int]chan struct{}
	// looks are how often it was looked for each question, hanging how many of these looks have not returned.
	looks   map[question]int
	hanging int
}

func (s *servers) goAway(container int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away == nil {
		s.away = map[int]chan struct{}{}
	}
	s.away[container] = make(chan struct{})
}

func (s *servers) comeBack(container int) {
	s.mu.Lock()
	close(s.away[container])
	delete(s.away, container)
	s.mu.Unlock()
	synctest.Wait()
}

func (s *servers) look(q question, _ time.Time) (answer, error) {
	s.mu.Lock()
	if s.looks == nil {
		s.looks = map[question]int{}
	}
	s.looks[q]++
	away, hangs := s.away[q.container.PID]
	if hangs {
		s.hanging++
	}
	s.mu.Unlock()
	if hangs {
		<-away
		s.mu.Lock()
		s.hanging--
		s.mu.Unlock()
	}
	return answer{path: "/usr/bin/tini", isGo: true, known: true}, nil
}

// count is how many looks there were.
func (s *servers) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := 0
	for _, n := range s.looks {
		count += n
	}
	return count
}

func TestAContainerThatHangsIsGivenUpAndOthersAreAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s servers
		w := start(t, s.look)
		want := func(name string, looks int, container, process scan.Key, known bool) {
			t.Helper()
			_, got := w.GoProgram(container, process)
			synctest.Wait()
			if got != known || s.count() != looks {
				t.Errorf("%s: known = %t after %d looks, want %t after %d", name, got, s.count(), known, looks)
			}
		}
		hung, other := scan.Key{PID: 1}, scan.Key{PID: 2}
		old, young, late := scan.Key{PID: 10}, scan.Key{PID: 11}, scan.Key{PID: 12}
		want("before it hangs", 1, hung, old, false)
		time.Sleep(renewAfter)
		s.goAway(hung.PID)
		if path := w.InitInImage(hung); path != "" {
			t.Errorf("path = %q, want none", path)
		}
		synctest.Wait()
		want("the same container, in the queue", 2, hung, old, true)
		want("the same container, a new process in the queue", 2, hung, young, false)
		want("another container, in the queue", 2, other, other, false)
		time.Sleep(hungAfter - time.Nanosecond)
		want("another container, before it is given up", 2, other, other, false)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		want("another container", 3, other, other, true)
		for range 3 {
			want("the same container: what is known stays", 3, hung, old, true)
			want("the same container: nothing new is learned", 3, hung, young, false)
			want("the same container: nothing is asked", 3, hung, late, false)
			time.Sleep(retryAfter)
		}
		s.comeBack(hung.PID)
		if path := w.InitInImage(hung); path != "/usr/bin/tini" {
			t.Errorf("path = %q, want what the look found that hung", path)
		}
		want("at the first question when it is back", 4, hung, young, false)
		want("when it is back", 4, hung, young, true)
		want("what was dropped meanwhile is renewed", 5, hung, old, true)
		if err := w.Hung(); err != nil || len(w.places) != 0 {
			t.Errorf("Hung() = %v with %d places taken when it is back, want nil and 0", err, len(w.places))
		}
	})
}

func TestNothingPilesUpWhileAllFileSystemsHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s servers
		w := start(t, s.look)
		const many = maxAnswers + maxQueue
		for pid := range many {
			s.goAway(pid)
		}
		for range 3 {
			for pid := range many {
				if path := w.InitInImage(scan.Key{PID: pid}); path != "" {
					t.Fatalf("path = %q while the file system hangs, want none", path)
				}
			}
			time.Sleep(renewAfter)
			synctest.Wait()
		}
		if s.count() != Places || s.hanging != Places || len(w.queue) > maxQueue || len(w.answers) > maxAnswers {
			t.Errorf("%d looks, %d of them hang, %d questions and %d answers, want %d looks that hang and at most %d and %d",
				s.count(), s.hanging, len(w.queue), len(w.answers), Places, maxQueue, maxAnswers)
		}
		if err := w.Hung(); !errors.Is(err, errFull) {
			t.Errorf("Hung() = %v, want %v", err, errFull)
		}
		for pid := range many {
			s.comeBack(pid)
		}
		if path := w.InitInImage(scan.Key{PID: 0}); path != "/usr/bin/tini" {
			t.Errorf("path = %q when the file system came back, want the one found", path)
		}
		if len(w.queue) != 0 || len(w.places) != 0 || w.Hung() != nil {
			t.Errorf("%d questions wait, %d places are taken, Hung() = %v, want none", len(w.queue), len(w.places), w.Hung())
		}
	})
}

func TestAHangIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s servers
		w := start(t, s.look)
		told := func(want string) {
			t.Helper()
			synctest.Wait()
			switch err := w.Hung(); {
			case want == "" && err != nil:
				t.Errorf("Hung() = %v, want nil", err)
			case want != "" && (err == nil || err.Error() != want):
				t.Errorf("Hung() = %v, want %s", err, want)
			}
		}
		// hang has a process of a container looked at, whose file system is away, until that is given up.
		hang := func(container int) (since string) {
			s.goAway(container)
			w.GoProgram(scan.Key{PID: container}, scan.Key{PID: 10 * container})
			since = time.Now().UTC().Format(time.RFC3339)
			time.Sleep(hungAfter)
			return since
		}
		time.Sleep(time.Hour)
		told("")
		s.goAway(7)
		w.GoProgram(scan.Key{PID: 7}, scan.Key{PID: 70})
		synctest.Wait()
		since := time.Now().UTC().Format(time.RFC3339)
		time.Sleep(hungAfter - time.Nanosecond)
		told("") // it may be slow
		time.Sleep(time.Nanosecond)
		one := "looks that hang: 1 of at most 4, the first at process 70 since " + since + ": " + errHangs.Error()
		told(one)
		time.Sleep(time.Hour) // it stays the same, and so is logged once
		w.GoProgram(scan.Key{PID: 7}, scan.Key{PID: 71})
		w.GoProgram(scan.Key{PID: 8}, scan.Key{PID: 80})
		told(one)
		second := hang(6)
		told("looks that hang: 2 of at most 4, the first at process 70 since " + since + ": " + errHangs.Error())
		hang(5)
		hang(4)
		told("looks that hang: 4 of at most 4, the first at process 70 since " + since + ": " + errFull.Error())
		s.comeBack(7)
		told("looks that hang: 3 of at most 4, the first at process 60 since " + second + ": " + errHangs.Error())
		for _, container := range []int{4, 5, 6} {
			s.comeBack(container)
		}
		told("")
	})
}

func TestRunEndsThoughLooksHang(t *testing.T) {
	t.Parallel()
	for name, hang := range map[string]int{"one that is not given up yet": 1, "as many as may, and a question waits": Places + 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var s servers
				w, stop := run(t, s.look)
				for container := range hang {
					s.goAway(container)
					w.InitInImage(scan.Key{PID: container})
				}
				time.Sleep(time.Duration(hang)*hungAfter - time.Nanosecond)
				before := time.Now()
				stop()
				if waited := time.Since(before); waited != 0 {
					t.Errorf("Run returned %s after it was told to, want at once", waited)
				}
				for container := range hang {
					s.comeBack(container)
				}
			})
		})
	}
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(question, time.Time) (answer, error) { return answer{path: "/usr/bin/tini"}, nil })
		for pid := range maxAnswers + 100 {
			w.InitInImage(scan.Key{PID: pid})
			synctest.Wait()
		}
		if len(w.answers) != maxAnswers {
			t.Errorf("%d answers are kept, want %d", len(w.answers), maxAnswers)
		}
		if path := w.InitInImage(scan.Key{PID: maxAnswers + 99}); path != "/usr/bin/tini" {
			t.Errorf("path = %q, want the newest answer kept", path)
		}
	})
}

func TestNewRefusesWhatIsNoDirectory(t *testing.T) {
	t.Parallel()
	if _, err := New(t.TempDir() + "/nothing"); err == nil {
		t.Error("New() = nil, want an error")
	}
}
