package inventory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// hanging is a node whose runtime lists its containers, but hangs on the details of some of them.
type hanging struct {
	*node
	on func(id string) bool
}

func (h hanging) Container(ctx context.Context, id string) (*runtimeapi.ContainerStatusResponse, error) {
	if h.on(id) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout) // as a Socket has it
		defer cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return h.node.Container(ctx, id)
}

func TestRefreshGivesUpOnDetailsThatHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNode()
		web := n.addPod("web")
		for id := range 100 {
			n.add(web, fmt.Sprintf("w%02d", id), 100+id)
		}
		i, _ := newInventory(n)
		i.runtime = hanging{n, func(string) bool { return true }}
		began := time.Now()
		if err := i.Refresh(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v, want %v", err, context.DeadlineExceeded)
		}
		if took := time.Since(began); took > learnTimeout {
			t.Errorf("refresh took %s, want %s at most", took, learnTimeout)
		}
		if i.Pods()[web] {
			t.Error("all of web is known, want not")
		}
	})
}

func TestRefreshLearnsAllContainersButThoseThatHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNode()
		web := n.addPod("web")
		for id := range 10 {
			n.add(web, fmt.Sprintf("w%d", id), 100+id)
		}
		n.containers["w3"].Labels = nil
		i, log := newInventory(n)
		i.runtime = hanging{n, func(id string) bool { return id < "w6" }}
		for range 4 { // two that hang each time, then the rest
			_ = i.Refresh(t.Context())
		}
		wantIDs(t, i, "w6", "w7", "w8", "w9")
		i.runtime = n
		mustRefresh(t, i)
		wantIDs(t, i, "w0", "w1", "w2", "w4", "w5", "w6", "w7", "w8", "w9")
		for _, id := range []string{"w0", "w1", "w2", "w3", "w4", "w5"} {
			if got := strings.Count(log.String(), "container="+id+" "); got != 1 {
				t.Errorf("logged %d lines about %s, want one:\n%s", got, id, log)
			}
		}
	})
}

func TestRefreshStopsWhenTheAgentStops(t *testing.T) {
	t.Parallel()
	n := newNode()
	n.add(n.addPod("web"), "w1", 10)
	i, _ := newInventory(n)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = i.Refresh(ctx)
	if len(n.asked) > 0 {
		t.Errorf("asked for %v after the end", n.asked)
	}
}
