package plane

import (
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

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// validity is longer than any cluster for tests or a demo lives.
const validity = 30 * 24 * time.Hour

// authority signs every certificate of one cluster; its key is only in the cluster's folder and goes with it.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

// purpose is what a certificate is for.
type purpose struct {
	name   string
	groups []string
	hosts  []string // none: a client's certificate; some: a server's
	valid  time.Duration
}

func newAuthority(folder string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "nimble-cluster"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(validity),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	made := &authority{certificate, key, encode("CERTIFICATE", der)}
	private, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return made, writeAll(map[string][]byte{filepath.Join(folder, "ca.crt"): made.pem, filepath.Join(folder, "ca.key"): private})
}

func loadAuthority(folder string) (*authority, error) {
	text, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		return nil, err
	}
	private, err := os.ReadFile(filepath.Join(folder, "ca.key"))
	if err != nil {
		return nil, err
	}
	certificateBlock, _ := pem.Decode(text)
	keyBlock, _ := pem.Decode(private)
	if certificateBlock == nil || keyBlock == nil {
		return nil, fmt.Errorf("%s holds no certificate authority", folder)
	}
	certificate, err := x509.ParseCertificate(certificateBlock.Bytes)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, err
	}
	return &authority{certificate, key, text}, nil
}

// sign returns a certificate and its key, both as PEM.
func (a *authority) sign(p purpose) (certificate, private []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: p.name, Organization: p.groups},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(p.valid),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, host := range p.hosts {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	private, err = encodeKey(key)
	return encode("CERTIFICATE", der), private, err
}

// writePair writes PATH.crt and PATH.key.
func (a *authority) writePair(path string, p purpose) error {
	certificate, private, err := a.sign(p)
	if err != nil {
		return err
	}
	return writeAll(map[string][]byte{path + ".crt": certificate, path + ".key": private})
}

// writeKubeconfig writes a kubeconfig that needs no other file.
func (a *authority) writeKubeconfig(path, server, namespace, name string, groups []string, valid time.Duration) error {
	certificate, private, err := a.sign(purpose{name: name, groups: groups, valid: valid})
	if err != nil {
		return err
	}
	config := api.NewConfig()
	config.Clusters["nimble-cluster"] = &api.Cluster{Server: server, CertificateAuthorityData: a.pem}
	config.AuthInfos[name] = &api.AuthInfo{ClientCertificateData: certificate, ClientKeyData: private}
	config.Contexts["nimble-cluster"] = &api.Context{Cluster: "nimble-cluster", AuthInfo: name, Namespace: namespace}
	config.CurrentContext = "nimble-cluster"
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return clientcmd.WriteToFile(*config, path)
}

// writeTokenKeys writes the pair with which service account tokens are signed and verified.
func writeTokenKeys(folder string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := encodeKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return writeAll(map[string][]byte{filepath.Join(folder, "tokens.key"): private, filepath.Join(folder, "tokens.pub"): encode("PUBLIC KEY", public)})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return encode("EC PRIVATE KEY", der), err
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func writeAll(files map[string][]byte) error {
	for path, text := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
