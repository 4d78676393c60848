package peek

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/scan"
)

// start starts a worker with a look of the test's own. It is stopped and waited for when the test ends.
func start(t *testing.T, look func(question, time.Time) (answer, error)) *Worker {
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
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return w
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
		if isGo, known := w.GoProgram(key); isGo || known {
			t.Errorf("GoProgram() = %t, %t before it was looked at, want not known", isGo, known)
		}
		synctest.Wait()
		for range 3 { // what is known is not looked for again
			if path := w.InitInImage(key); path != "/usr/bin/tini" {
				t.Errorf("path = %q, want the one found", path)
			}
			if isGo, known := w.GoProgram(key); !isGo || !known {
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
	synctest.Test(t, func(t *testing.T) {
		var fails error
		looks := 0
		w := start(t, func(question, time.Time) (answer, error) {
			looks++
			if fails != nil {
				return answer{}, fails
			}
			return answer{isGo: true, known: true}, nil
		})
		ask := func(wantLooks int) {
			t.Helper()
			if isGo, known := w.GoProgram(scan.Key{PID: 7}); wantLooks > 1 && (!isGo || !known) {
				t.Errorf("GoProgram() = %t, %t, want what was known", isGo, known)
			}
			synctest.Wait()
			if looks != wantLooks {
				t.Errorf("%d looks, want %d", looks, wantLooks)
			}
		}
		ask(1)
		fails = errTooMuch
		time.Sleep(renewAfter)
		ask(2)
		time.Sleep(retryAfter - time.Nanosecond)
		ask(2)
		time.Sleep(time.Nanosecond)
		ask(3)
		fails = nil
		time.Sleep(retryAfter)
		ask(4)
		time.Sleep(renewAfter - time.Nanosecond)
		ask(4)
	})
}

func TestNothingPilesUpWhileAFileSystemHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, looks, busy := make(chan struct{}), 0, 0
		w := start(t, func(question, time.Time) (answer, error) {
			looks++
			if busy++; busy > 1 {
				t.Error("a second look began while one hangs")
			}
			<-server
			busy--
			return answer{path: "/usr/bin/tini"}, nil
		})
		const many = maxAnswers + maxQueue
		for range 3 {
			for pid := range many {
				if path := w.InitInImage(scan.Key{PID: pid}); path != "" {
					t.Fatalf("path = %q while the file system hangs, want none", path)
				}
			}
			synctest.Wait()
			time.Sleep(renewAfter)
		}
		if looks != 1 || len(w.queue) > maxQueue || len(w.answers) > maxAnswers {
			t.Errorf("%d looks, %d questions and %d answers, want 1 look and at most %d and %d", looks, len(w.queue), len(w.answers), maxQueue, maxAnswers)
		}
		close(server)
		synctest.Wait()
		if path := w.InitInImage(scan.Key{PID: 0}); path != "/usr/bin/tini" {
			t.Errorf("path = %q when the file system came back, want the one found", path)
		}
		if len(w.queue) != 0 {
			t.Errorf("%d questions wait, want none", len(w.queue))
		}
	})
}

func TestAHangIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := make(chan struct{})
		w := start(t, func(question, time.Time) (answer, error) {
			<-server
			return answer{}, nil
		})
		time.Sleep(time.Hour)
		if err := w.Hung(); err != nil {
			t.Errorf("Hung() = %v of a worker that was asked nothing, want nil", err)
		}
		w.GoProgram(scan.Key{PID: 7})
		synctest.Wait()
		since := time.Now().UTC().Format(time.RFC3339)
		time.Sleep(hungAfter - time.Nanosecond)
		if err := w.Hung(); err != nil {
			t.Errorf("Hung() = %v of a look that is only slow, want nil", err)
		}
		time.Sleep(time.Nanosecond)
		first := w.Hung()
		if !errors.Is(first, errHangs) || !strings.HasPrefix(first.Error(), "looking at process 7 since "+since+": ") {
			t.Errorf("Hung() = %v, want the process and since when", first)
		}
		time.Sleep(time.Hour)
		if later := w.Hung(); later == nil || later.Error() != first.Error() {
			t.Errorf("Hung() = %v later, want the same, so that it is logged once", later)
		}
		close(server)
		synctest.Wait()
		if err := w.Hung(); err != nil {
			t.Errorf("Hung() = %v when the file system came back, want nil", err)
		}
	})
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
