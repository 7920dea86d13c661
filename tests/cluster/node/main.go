package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"nimble-watch.test/cluster/shapes"
)

// Options are what a kubelet of the embedded cluster is started with.
type Options struct {
	Node       shapes.Node
	GPUs       int64
	Kubeconfig string
	// Dir is the folder that holds all that the kubelet writes.
	Dir string
	// Address and Port are where the kubelet serves logs, exec and port-forward, on the loopback network.
	Address string
	Port    int
	// PodBlock is where pods get their addresses from: the first three numbers of a loopback address, "127.77.11".
	PodBlock   string
	ClusterDNS string
	// CertFile and KeyFile are what the kubelet serves with; it signs its own when they are empty.
	CertFile, KeyFile string
	// ClientCA signs those who may connect; when it is empty, everybody may.
	ClientCA  string
	CRIO      bool
	Verbosity int
}

// Main runs a kubelet until it is told to end. The process ends with status 2 for a wrong flag, 1 for any other failure.
func Main(args []string) int {
	options, err := parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubelet:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := Run(ctx, options); err != nil {
		fmt.Fprintln(os.Stderr, "kubelet:", err)
		return 1
	}
	return 0
}

func parse(args []string) (Options, error) {
	var options Options
	flags := pflag.NewFlagSet("kubelet", pflag.ContinueOnError)
	shape, runtime, cidr := "", "", ""
	flags.StringVar(&options.Kubeconfig, "kubeconfig", "", "how to reach the API server")
	flags.StringVar(&options.Node.Name, "name", "", "name of the node, its private IP: 10.0.10.11")
	flags.StringVar(&shape, "shape", "cpu", "shape of the node: "+strings.Join(shapes.Keys(), ", "))
	flags.StringVar(&options.Node.Pool, "pool", "", "name of the node pool (default: the shape's)")
	flags.StringVar(&options.Dir, "dir", "", "folder for all that is written")
	flags.Int64Var(&options.GPUs, "gpus", -1, "number of GPUs (default: the shape's)")
	flags.StringVar(&options.Address, "address", "127.0.0.1", "loopback address to serve on")
	flags.IntVar(&options.Port, "port", 10250, "port to serve on")
	flags.StringVar(&cidr, "pods", "", "loopback block of the pods' addresses: 127.77.11.0/24")
	flags.StringVar(&options.ClusterDNS, "cluster-dns", "10.96.0.10", "address that pods are told to ask for names")
	flags.StringVar(&options.CertFile, "tls-cert", "", "certificate to serve with (default: one that the kubelet signs itself)")
	flags.StringVar(&options.KeyFile, "tls-key", "", "its key")
	flags.StringVar(&options.ClientCA, "client-ca", "", "certificates that sign clients; without, everybody may connect")
	flags.StringVar(&runtime, "runtime", "containerd", "runtime that the node reports: containerd or cri-o")
	flags.IntVarP(&options.Verbosity, "v", "v", 1, "how much the kubelet logs")
	if err := flags.Parse(args); err != nil {
		return options, err
	}
	var err error
	if options.Node.Shape, err = shapes.Lookup(shape); err != nil {
		return options, fmt.Errorf("--shape: %w", err)
	}
	if options.Node.Pool == "" {
		options.Node.Pool = options.Node.Shape.Key
	}
	if options.GPUs < 0 {
		options.GPUs = options.Node.Shape.GPUs
	}
	if options.Kubeconfig == "" || options.Dir == "" || cidr == "" {
		return options, fmt.Errorf("--kubeconfig, --dir and --pods are needed")
	}
	if net.ParseIP(options.Node.Name) == nil {
		return options, fmt.Errorf("--name: %q is no IP address", options.Node.Name)
	}
	if address := net.ParseIP(options.Address); address == nil || !address.IsLoopback() {
		return options, fmt.Errorf("--address: %q is no loopback address, and nothing of the cluster may be reached from outside", options.Address)
	}
	_, block, err := net.ParseCIDR(cidr)
	if err != nil || !block.IP.IsLoopback() || !strings.HasSuffix(block.String(), ".0/24") {
		return options, fmt.Errorf("--pods: %q is not of the form 127.A.B.0/24", cidr)
	}
	options.PodBlock = strings.TrimSuffix(block.String(), ".0/24")
	if options.CRIO = runtime == "cri-o"; !options.CRIO && runtime != "containerd" {
		return options, fmt.Errorf("--runtime: %q is neither containerd nor cri-o", runtime)
	}
	if (options.CertFile == "") != (options.KeyFile == "") {
		return options, fmt.Errorf("--tls-cert and --tls-key go together")
	}
	for _, path := range []*string{&options.Dir, &options.Kubeconfig, &options.CertFile, &options.KeyFile, &options.ClientCA} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return options, err
		}
	}
	return options, nil
}
