package plane

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"nimble-watch.test/cluster/shapes"
)

// Every address of a cluster that anybody dials is inside one block of the loopback network, 127.A.0.0/16. What is
// published looks like a pod network's and a subnet's:
//
//	pod 10.244.N.y        is 127.A.N.y     on node N
//	node 10.0.10.N        is 127.A.255.N
//	load balancers are 127.A.254.z, published as they are
//
// The first belong to strangers where they are not local, so nobody may dial them untreated: see egress.go.
const (
	podPrefix       = "10.244."
	kubeletThird    = 255
	balancerThird   = 254
	firstBlock      = 2
	lastBlock       = 254
	blockSocketName = "\x00nimble-cluster-127."
)

// claimBlock finds a block that no other cluster in this network namespace uses. The claim is an abstract Unix socket:
// those belong to the network namespace just as the loopback addresses do, are seen by every user, and end with
// whoever holds them.
func claimBlock() (block string, claim *os.File, err error) {
	count := lastBlock - firstBlock + 1
	offset := rand.IntN(count)
	for i := range count {
		number := firstBlock + (offset+i)%count
		descriptor, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return "", nil, err
		}
		err = unix.Bind(descriptor, &unix.SockaddrUnix{Name: fmt.Sprintf("%s%d", blockSocketName, number)})
		if err == nil {
			return fmt.Sprintf("127.%d", number), os.NewFile(uintptr(descriptor), "block"), nil
		}
		unix.Close(descriptor)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return "", nil, err
		}
	}
	return "", nil, errors.New("all 253 address blocks are in use by other clusters; end some of them")
}

// kubeletAddress is where the kubelet of a node listens.
func kubeletAddress(block string, index int) string {
	return fmt.Sprintf("%s.%d.%d", block, kubeletThird, index)
}

// podBlock is the range out of which a node gives addresses to its pods.
func podBlock(block string, index int) string { return fmt.Sprintf("%s.%d.0/24", block, index) }

// local translates a published address into the one that is really listened on; loopback stays as it is, everything
// else is refused.
func local(block, host string) (string, error) {
	if host == "localhost" {
		return "127.0.0.1", nil
	}
	ip := net.ParseIP(host)
	switch {
	case ip == nil:
		return "", fmt.Errorf("%q is a name, and the cluster resolves none", host)
	case ip.IsLoopback():
		return host, nil
	case strings.HasPrefix(host, podPrefix):
		return block + "." + strings.TrimPrefix(host, podPrefix), nil
	}
	index, err := shapes.NodeIndex(host)
	if err != nil {
		return "", fmt.Errorf("%s is neither a node's nor a pod's", host)
	}
	return kubeletAddress(block, index), nil
}

// freePort asks the kernel for a port. Another program may take it before it is used; whoever uses it tries again then.
func freePort(address string) (int, error) {
	listener, err := net.Listen("tcp4", address+":0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
