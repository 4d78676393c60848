package render

import (
	"encoding/base64"
	"fmt"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/dirs"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/plan"
)

// etcdURL is inside of the first node's network namespace, where nothing but the cluster is.
const etcdURL = "http://127.0.0.1:2379"

// PKI names certificate files.
type PKI interface {
	Cert(file string) string
	Key(file string) string
}

// Etcd are etcd's arguments. It skips the wait for the disk: a cluster that dies with its machine is made again.
func Etcd(s dirs.State) []string {
	return []string{
		"--name=etcd", "--data-dir=" + s.Etcd(), "--unsafe-no-fsync",
		"--listen-client-urls=" + etcdURL, "--advertise-client-urls=" + etcdURL,
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=etcd=http://127.0.0.1:2380",
	}
}

// APIServer are the API server's arguments. It listens on 443 on every address of the first node,
// so it answers at the address of the Service "kubernetes" itself.
func APIServer(p plan.Plan, s dirs.State, pki PKI) []string {
	return []string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=0.0.0.0", "--secure-port=443", "--advertise-address=" + p.ControlPlane().IP.String(),
		"--service-cluster-ip-range=" + p.Services().String(),
		"--allow-privileged=true",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--client-ca-file=" + pki.Cert("ca"),
		"--tls-cert-file=" + pki.Cert("apiserver"), "--tls-private-key-file=" + pki.Key("apiserver"),
		"--kubelet-client-certificate=" + pki.Cert("apiserver-kubelet-client"),
		"--kubelet-client-key=" + pki.Key("apiserver-kubelet-client"),
		"--kubelet-certificate-authority=" + pki.Cert("ca"), "--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + pki.Cert("sa"), "--service-account-signing-key-file=" + pki.Key("sa"),
		"--audit-policy-file=" + s.Conf("audit.yaml"), "--audit-log-path=" + s.AuditLog(),
		// Webhooks are called at their pods, since no kube-proxy gives service addresses a meaning.
		"--enable-aggregator-routing=true",
	}
}

// ControllerManager are the controller manager's arguments. The root CA file is what pods get as kube-root-ca.crt.
func ControllerManager(s dirs.State, pki PKI) []string {
	conf := s.Conf("controller-manager.kubeconfig")
	return []string{
		"--kubeconfig=" + conf, "--authentication-kubeconfig=" + conf, "--authorization-kubeconfig=" + conf,
		"--bind-address=127.0.0.1", "--leader-elect=false", "--use-service-account-credentials=true", "--controllers=*,tokencleaner",
		"--root-ca-file=" + pki.Cert("ca"), "--service-account-private-key-file=" + pki.Key("sa"),
		"--cluster-signing-cert-file=" + pki.Cert("ca"), "--cluster-signing-key-file=" + pki.Key("ca"),
	}
}

// Scheduler are the scheduler's arguments.
func Scheduler(s dirs.State) []string {
	conf := s.Conf("scheduler.kubeconfig")
	return []string{
		"--kubeconfig=" + conf, "--authentication-kubeconfig=" + conf, "--authorization-kubeconfig=" + conf,
		"--bind-address=127.0.0.1", "--leader-elect=false",
	}
}

// AuditPolicy records every write and no read: tests count writes, and reads would fill the disk.
const AuditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  verbs: [get, list, watch]
- level: Metadata
`

// Kubeconfig holds its certificates inside, so the file can be copied alone.
func Kubeconfig(context, server string, ca, cert, key []byte) string {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: %[1]s
contexts:
- name: %[1]s
  context: {cluster: %[1]s, user: %[1]s}
clusters:
- name: %[1]s
  cluster:
    server: %[2]s
    certificate-authority-data: %[3]s
users:
- name: %[1]s
  user:
    client-certificate-data: %[4]s
    client-key-data: %[5]s
`, context, server, encode(ca), encode(cert), encode(key))
}
