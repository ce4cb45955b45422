package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// pki writes one authority, a short list of identities, and a kubeconfig beside FOLDER for each that calls the API server.
func pki(args []string) error {
	folder, port, nodeName, nodeIP, serviceIP := args[0], args[1], args[2], args[3], args[4]
	authority, err := newAuthority(folder)
	if err != nil {
		return err
	}
	for _, id := range []struct {
		file, organisation, name string
		sans                     []string
		calls                    bool
	}{
		{file: "apiserver", name: "kube-apiserver", sans: []string{"127.0.0.1", nodeIP, serviceIP, "localhost", "kubernetes",
			"kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}},
		{file: "apiserver-kubelet-client", organisation: "system:masters", name: "apiserver-kubelet-client"},
		{file: "front-proxy", name: "front-proxy-client"},
		{file: "admin", organisation: "system:masters", name: "admin", calls: true},
		{file: "controller-manager", name: "system:kube-controller-manager", calls: true},
		{file: "scheduler", name: "system:kube-scheduler", calls: true},
		{file: "kube-proxy", name: "system:kube-proxy", calls: true},
		{file: "kubelet", organisation: "system:nodes", name: "system:node:" + nodeName, sans: []string{nodeIP, nodeName}, calls: true},
	} {
		subject := pkix.Name{CommonName: id.name}
		if id.organisation != "" {
			subject.Organization = []string{id.organisation}
		}
		cert, key, err := authority.issue(filepath.Join(folder, id.file), subject, id.sans)
		if err != nil {
			return err
		}
		if id.calls {
			if err := kubeconfig(filepath.Join(folder, "..", id.file+".kubeconfig"), port, authority.pem, cert, key); err != nil {
				return err
			}
		}
	}
	return serviceAccountKey(folder)
}

type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte
}

func template(serial int64, subject pkix.Name) *x509.Certificate {
	return &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: subject,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
}

func newAuthority(folder string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert := template(1, pkix.Name{CommonName: "test-ca"})
	cert.IsCA, cert.BasicConstraintsValid, cert.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return nil, err
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	a := &authority{cert, key, encodePEM("CERTIFICATE", der)}
	_, err = writeKey(filepath.Join(folder, "ca.key"), key)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "ca.crt"), a.pem, 0o600)
	}
	return a, err
}

// issue writes FILE.crt and FILE.key, for clients and servers alike.
func (a *authority) issue(file string, subject pkix.Name, sans []string) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	cert := template(time.Now().UnixNano(), subject)
	cert.KeyUsage = x509.KeyUsageDigitalSignature
	cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	for _, san := range sans {
		if ip := net.ParseIP(san); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, san)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	certPEM = encodePEM("CERTIFICATE", der)
	if err = os.WriteFile(file+".crt", certPEM, 0o600); err == nil {
		keyPEM, err = writeKey(file+".key", key)
	}
	return certPEM, keyPEM, err
}

func serviceAccountKey(folder string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "sa.pub"), encodePEM("PUBLIC KEY", public), 0o600)
	}
	if err == nil {
		_, err = writeKey(filepath.Join(folder, "sa.key"), key)
	}
	return err
}

func writeKey(file string, key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	data := encodePEM("PRIVATE KEY", der)
	return data, os.WriteFile(file, data, 0o600)
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func kubeconfig(file, port string, ca, cert, key []byte) error {
	b64 := base64.StdEncoding.EncodeToString
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: kubecure-cluster
contexts: [{name: kubecure-cluster, context: {cluster: kubecure-cluster, user: user}}]
clusters: [{name: kubecure-cluster, cluster: {server: "https://127.0.0.1:%s", certificate-authority-data: %s}}]
users: [{name: user, user: {client-certificate-data: %s, client-key-data: %s}}]
`, port, b64(ca), b64(cert), b64(key))
	return os.WriteFile(file, []byte(text), 0o600)
}
