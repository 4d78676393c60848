package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// auditedWrite is a write of the operator that the API server took down.
type auditedWrite struct {
	at                              time.Time
	verb, resource, namespace, name string
	user                            string
}

// auditedWrites reads the operator's writes since a time from the API server's audit log, but not those of the leader's
// lease.
func auditedWrites(t *testing.T, since time.Time) []auditedWrite {
	t.Helper()
	return slices.DeleteFunc(audited(t, since), func(w auditedWrite) bool { return w.resource == "leases" })
}

// auditedRenewals counts the writes of the leader's lease.
func auditedRenewals(t *testing.T, since time.Time) int {
	t.Helper()
	return len(audited(t, since)) - len(auditedWrites(t, since))
}

func audited(t *testing.T, since time.Time) []auditedWrite {
	t.Helper()
	raw, err := os.ReadFile(auditLog)
	if err != nil {
		t.Fatal(err)
	}
	var writes []auditedWrite
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var entry struct {
			Stage                    string
			Verb                     string
			User                     struct{ Username string }
			ObjectRef                struct{ Resource, Subresource, Namespace, Name string }
			RequestReceivedTimestamp time.Time
		}
		if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
			continue // the line that is just being written
		}
		ours := strings.HasPrefix(entry.User.Username, "system:serviceaccount:"+operatorNamespace+":")
		if !ours || entry.RequestReceivedTimestamp.Before(since) {
			continue
		}
		writes = append(writes, auditedWrite{
			at: entry.RequestReceivedTimestamp, verb: entry.Verb, user: entry.User.Username,
			resource:  strings.Trim(entry.ObjectRef.Resource+"/"+entry.ObjectRef.Subresource, "/"),
			namespace: entry.ObjectRef.Namespace, name: entry.ObjectRef.Name,
		})
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("reading the audit log: %v", err)
	}
	return writes
}
