package remedy

import (
	"fmt"
	"net/http"
	"strings"
)

// watched is a transport that tells how the watch of remediations is doing. The libraries above it tell of its errors,
// but not of their end.
type watched struct {
	next http.RoundTripper
	tell func(error)
}

// RoundTrip sends a request.
func (w watched) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := w.next.RoundTrip(req)
	ofAll := req.Method == http.MethodGet && strings.HasSuffix(req.URL.Path, "/zombieremediations") // no single one
	switch {
	case !ofAll, req.Context().Err() != nil: // nor one that was given up on purpose
	case err != nil:
		w.tell(fmt.Errorf("watching remediations: %w", err))
	case answer.StatusCode != http.StatusOK:
		w.tell(fmt.Errorf("watching remediations: %w", refused(answer.Status)))
	default:
		w.tell(nil)
	}
	return answer, err //nolint:wrapcheck // a transport returns errors as they are
}

// refused is the status line of an answer.
type refused string

func (r refused) Error() string { return "the API server answers " + string(r) }
