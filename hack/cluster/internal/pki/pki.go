// Package pki makes the certificates of a cluster. They live as long as the cluster's directory.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime is longer than any test cluster lives, so nothing has to renew.
const lifetime = 365 * 24 * time.Hour

// Store is a directory of certificates.
type Store struct{ Dir string }

// Request is a certificate to make. With IPs it is for a server as well.
type Request struct {
	File   string
	Name   string
	Groups []string
	IPs    []net.IP
	DNS    []string
}

// Cert and Key are the files of a certificate.
func (s Store) Cert(file string) string { return filepath.Join(s.Dir, file+".crt") }
func (s Store) Key(file string) string  { return filepath.Join(s.Dir, file+".key") }

// Has says whether the certificate was made already.
func (s Store) Has(file string) bool {
	_, err := os.Stat(s.Cert(file))
	return err == nil
}

// Create makes a CA named "ca", a key pair "sa" for service account tokens, and all requested certificates.
func (s Store) Create(requests []Request) error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return fmt.Errorf("creating the certificate directory: %w", err)
	}
	template := x509.Certificate{Subject: pkix.Name{CommonName: "zombie-cluster"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	ca, caKey, err := s.issue("ca", template, nil, nil)
	if err != nil {
		return err
	}
	if _, _, err := s.issue("sa", x509.Certificate{Subject: pkix.Name{CommonName: "service-accounts"}}, ca, caKey); err != nil {
		return err
	}
	for _, r := range requests {
		if _, _, err := s.issue(r.File, r.template(), ca, caKey); err != nil {
			return err
		}
	}
	return nil
}

func (r Request) template() x509.Certificate {
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(r.IPs) > 0 {
		usages = append(usages, x509.ExtKeyUsageServerAuth)
	}
	return x509.Certificate{
		Subject:     pkix.Name{CommonName: r.Name, Organization: r.Groups},
		IPAddresses: r.IPs, DNSNames: r.DNS,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: usages,
	}
}

// issue makes a key and its certificate. Without a parent the certificate signs itself.
func (s Store) issue(file string, t x509.Certificate, parent *x509.Certificate, signer crypto.Signer) (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generating the key of %s: %w", file, err)
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return nil, nil, fmt.Errorf("choosing the serial number of %s: %w", file, err)
	}
	// An hour back, so that a clock set back a little does not make the cluster refuse itself.
	t.NotBefore, t.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(lifetime)
	if parent == nil {
		parent, signer = &t, key
	}
	der, err := x509.CreateCertificate(rand.Reader, &t, parent, key.Public(), signer)
	if err != nil {
		return nil, nil, fmt.Errorf("signing the certificate of %s: %w", file, err)
	}
	if err := s.save(file, der, key); err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}

// save writes the certificate last: Has looks for it.
func (s Store) save(file string, cert []byte, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding the key of %s: %w", file, err)
	}
	if err := writePEM(s.Key(file), "PRIVATE KEY", der); err != nil {
		return err
	}
	return writePEM(s.Cert(file), "CERTIFICATE", cert)
}

func writePEM(path, kind string, der []byte) error {
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("writing a certificate file: %w", err)
	}
	return nil
}
