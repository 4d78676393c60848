// Command probe is the pod of TestUpDown: it asks the API server at the service address who it is, and then answers itself.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// caFile is where every pod finds the CA of the cluster.
const caFile = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"

func main() {
	if len(os.Args) > 1 {
		fmt.Println(os.Args[1])
		return
	}
	if err := askAPIServer(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("verified", os.Getenv("KUBERNETES_SERVICE_HOST"))
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello from ", os.Getenv("NODE")) })
	fmt.Println(http.ListenAndServe(":8080", nil))
}

func askAPIServer() error {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return fmt.Errorf("reading the CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return errors.New("reading the CA: it holds no certificate")
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	response, err := client.Get("https://" + os.Getenv("KUBERNETES_SERVICE_HOST") + "/version")
	if err != nil {
		return fmt.Errorf("asking the API server: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	fmt.Println(string(body))
	return nil
}
