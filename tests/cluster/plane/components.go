package plane

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	nodeStages "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	nodeHeartbeat "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	podStages "sigs.k8s.io/kwok/kustomize/stage/pod/fast"

	"nimble-watch.test/cluster/shapes"
)

// serviceRange is where cluster IPs come from; nothing listens there, as there is no kube-proxy.
const serviceRange = "10.96.0.0/16"

// auditPolicy records what people, tests and watchers ask of the API server; what the cluster's own parts do is left
// out, since it is most of the traffic and proves nothing.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: [system:apiserver, system:kube-controller-manager, system:kube-scheduler, nimble-cluster, scripted, kwok]
- level: None
  userGroups: [system:nodes, "system:serviceaccounts:kube-system"]
- level: Metadata
`

// schedulerConfiguration differs from the default only in that nobody else could be leader.
const schedulerConfiguration = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
clientConnection: {kubeconfig: scheduler.kubeconfig, qps: 500, burst: 1000}
`

// writeConfiguration writes the files that components read, except for kubeconfigs: those need the server's port.
func writeConfiguration(folder string, a *authority) error {
	certs := filepath.Join(folder, "certs")
	if err := writeTokenKeys(certs); err != nil {
		return err
	}
	hosts := []string{"127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "10.96.0.1"}
	if err := a.writePair(filepath.Join(certs, "server"), purpose{name: "kube-apiserver", hosts: hosts, valid: validity}); err != nil {
		return err
	}
	kubelets := purpose{name: "kube-apiserver-kubelet-client", groups: []string{"system:masters"}, valid: validity}
	if err := a.writePair(filepath.Join(certs, "kubelet-client"), kubelets); err != nil {
		return err
	}
	stages := strings.Join([]string{
		nodeStages.DefaultNodeInit, nodeHeartbeat.DefaultNodeHeartbeatWithLease,
		podStages.DefaultPodReady, podStages.DefaultPodComplete, podStages.DefaultPodDelete,
	}, "\n---\n")
	for _, tool := range []string{"kubectl", "helm"} {
		program, err := os.Executable()
		if err != nil {
			return err
		}
		if err := os.Symlink(program, filepath.Join(folder, "bin", tool)); err != nil {
			return err
		}
	}
	return writeAll(map[string][]byte{
		filepath.Join(folder, "egress.yaml"):    []byte(egressConfiguration),
		filepath.Join(folder, "audit.yaml"):     []byte(auditPolicy),
		filepath.Join(folder, "scheduler.yaml"): []byte(schedulerConfiguration),
		filepath.Join(folder, "kwok.yaml"):      []byte(stages),
	})
}

// writeKubeconfigs writes one for each component and the administrator's, which people and tests use.
func writeKubeconfigs(folder, server string, a *authority) error {
	for _, who := range []struct{ file, name, group string }{
		{"kubeconfig", "admin", "system:masters"},
		{"supervisor.kubeconfig", "nimble-cluster", "system:masters"},
		{"scripted.kubeconfig", "scripted", "system:masters"},
		{"kwok.kubeconfig", "kwok", "system:masters"},
		{"controller-manager.kubeconfig", "system:kube-controller-manager", ""},
		{"scheduler.kubeconfig", "system:kube-scheduler", ""},
	} {
		var groups []string
		if who.group != "" {
			groups = []string{who.group}
		}
		if err := a.writeKubeconfig(filepath.Join(folder, who.file), server, "default", who.name, groups, validity); err != nil {
			return err
		}
	}
	return nil
}

// All paths below are relative to the cluster's folder, where every component runs.

func etcdArguments() []string {
	// Unix sockets (the port is part of their names, since etcd wants one): no port to find, and nobody else may connect, which etcd would not ask about. No fsync, because
	// the data lives no longer than the machine stays up.
	return []string{
		"etcd", "--data-dir", "etcd", "--unsafe-no-fsync", "--log-level", "warn",
		"--listen-client-urls", "unix://etcd.sock:0", "--advertise-client-urls", "unix://etcd.sock:0",
		"--listen-peer-urls", "unix://peer.sock:0",
		"--quota-backend-bytes", "4294967296", "--auto-compaction-retention", "1h",
	}
}

func apiServerArguments(port int) []string {
	return []string{
		"kube-apiserver", "--etcd-servers", "unix://etcd.sock:0",
		"--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--secure-port", fmt.Sprint(port),
		"--endpoint-reconciler-type", "none", "--service-cluster-ip-range", serviceRange,
		"--tls-cert-file", "certs/server.crt", "--tls-private-key-file", "certs/server.key", "--client-ca-file", "certs/ca.crt",
		"--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", "certs/tokens.pub", "--service-account-signing-key-file", "certs/tokens.key",
		"--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction", "--allow-privileged",
		"--egress-selector-config-file", "egress.yaml", "--enable-aggregator-routing",
		"--kubelet-preferred-address-types", "InternalIP", "--kubelet-certificate-authority", "certs/ca.crt",
		"--kubelet-client-certificate", "certs/kubelet-client.crt", "--kubelet-client-key", "certs/kubelet-client.key",
		"--audit-policy-file", "audit.yaml", "--audit-log-path", "audit.log",
		// A test that loses a node shall not wait five minutes for its pods to move.
		"--default-not-ready-toleration-seconds", "10", "--default-unreachable-toleration-seconds", "10",
		"--profiling=false",
	}
}

func controllerManagerArguments() []string {
	return []string{
		"kube-controller-manager", "--kubeconfig", "controller-manager.kubeconfig", "--secure-port", "0", "--leader-elect=false",
		"--use-service-account-credentials", "--service-account-private-key-file", "certs/tokens.key", "--root-ca-file", "certs/ca.crt",
		"--cluster-signing-cert-file", "certs/ca.crt", "--cluster-signing-key-file", "certs/ca.key",
		"--node-monitor-grace-period", "12s", "--node-monitor-period", "1s",
		"--kube-api-qps", "200", "--kube-api-burst", "400", "--profiling=false",
	}
}

func schedulerArguments() []string {
	return []string{"kube-scheduler", "--config", "scheduler.yaml", "--secure-port", "0", "--profiling=false"}
}

func kwokArguments() []string {
	return []string{
		"kwok", "--kubeconfig", "kwok.kubeconfig", "--config", "kwok.yaml",
		"--manage-all-nodes=false", "--manage-nodes-with-annotation-selector", fakeNodeKey + "=fake",
		// Nothing is behind these addresses, and the proxy refuses them.
		"--cidr", "10.245.0.0/16", "--node-ip", "10.1.255.254", "--node-lease-duration-seconds", "20", "--v", "WARN",
	}
}

func scriptedArguments(folder, block string) []string {
	return []string{"scripted", "--kubeconfig", "scripted.kubeconfig", "--dir", folder, "--block", block}
}

// kubeletArguments writes a node's files and returns its kubelet's command line.
func kubeletArguments(folder, server, block string, a *authority, n shapes.Node, port int) ([]string, error) {
	index, err := shapes.NodeIndex(n.Name)
	if err != nil {
		return nil, err
	}
	home := filepath.Join(folder, "nodes", n.Name)
	if err := a.writeKubeconfig(filepath.Join(home, "kubeconfig"), server, "default", "system:node:"+n.Name, []string{"system:nodes"}, validity); err != nil {
		return nil, err
	}
	if err := a.writePair(filepath.Join(home, "server"), purpose{name: "system:node:" + n.Name, hosts: []string{n.Name, kubeletAddress(block, index)}, valid: validity}); err != nil {
		return nil, err
	}
	return []string{
		"kubelet", "--kubeconfig", filepath.Join(home, "kubeconfig"), "--name", n.Name, "--shape", n.Shape.Key, "--pool", n.Pool,
		"--dir", home, "--address", kubeletAddress(block, index), "--port", fmt.Sprint(port), "--pods", podBlock(block, index),
		"--tls-cert", filepath.Join(home, "server.crt"), "--tls-key", filepath.Join(home, "server.key"),
		"--client-ca", filepath.Join(folder, "certs", "ca.crt"),
	}, nil
}
