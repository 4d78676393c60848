package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// api asks the API server the few questions of bringing up. A client library would cost more to compile than all of zcluster.
type api struct {
	http   *http.Client
	server string
}

func (c *Cluster) api() (api, error) {
	cert, err := tls.LoadX509KeyPair(c.certs.Cert("admin"), c.certs.Key("admin"))
	if err != nil {
		return api{}, fmt.Errorf("loading the administrator's certificate: %w", err)
	}
	ca, err := os.ReadFile(c.certs.Cert("ca"))
	if err != nil {
		return api{}, fmt.Errorf("loading the cluster's CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return api{}, errors.New("loading the cluster's CA: it holds no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}}}
	return api{&http.Client{Transport: transport, Timeout: 3 * time.Second}, c.plan.APIServer()}, nil
}

func (a api) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.server+path, nil)
	if err != nil {
		return fmt.Errorf("asking the API server: %w", err)
	}
	response, err := a.http.Do(request)
	if err != nil {
		return fmt.Errorf("asking the API server: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("reading the API server's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asking the API server for %s: %s", path, response.Status)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

func (a api) ready(ctx context.Context) error { return a.get(ctx, "/readyz", nil) }

// defaultsExist says whether a pod can be created in the default namespace and will find the CA.
func (a api) defaultsExist(ctx context.Context) error {
	return errors.Join(
		a.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", nil),
		a.get(ctx, "/api/v1/namespaces/default/configmaps/kube-root-ca.crt", nil))
}

// nodeReady says nil for a Ready node and otherwise why it is not.
func (a api) nodeReady(ctx context.Context, name string) error {
	var node struct {
		Spec struct {
			Taints []struct{ Key string }
		}
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := a.get(ctx, "/api/v1/nodes/"+name, &node); err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type != "Ready" {
			continue
		}
		if c.Status != "True" {
			return fmt.Errorf("node %s is not Ready: %s", name, c.Message)
		}
		if len(node.Spec.Taints) > 0 { // the controller manager takes it off a little later
			return fmt.Errorf("node %s is still tainted %s", name, node.Spec.Taints[0].Key)
		}
		return nil
	}
	return fmt.Errorf("node %s has not reported yet", name)
}
