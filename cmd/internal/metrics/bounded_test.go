package metrics

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestRequestsBeyondTheBoundAreRefusedBeforeAnybodyIsAsked(t *testing.T) {
	t.Parallel()
	asked, goOn := make(chan struct{}), make(chan struct{})
	handler := bounded(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-goOn
	}))
	get := func() int {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
		return recorder.Code
	}
	codes := make(chan int)
	for range MaxRequests {
		go func() { codes <- get() }()
		<-asked
	}
	if code := get(); code != http.StatusServiceUnavailable {
		t.Errorf("one more request got %d, want %d", code, http.StatusServiceUnavailable)
	}
	close(goOn)
	for range MaxRequests {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("a request within the bound got %d", code)
		}
	}
	go func() { <-asked }()
	if code := get(); code != http.StatusOK {
		t.Errorf("a request after the others got %d", code)
	}
}
