package plane

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

const controlSocket = "control.sock"

// request is what commands ask of the supervisor: one JSON object a connection.
type request struct {
	Do    string `json:"do"`
	Shape string `json:"shape,omitempty"`
	Pool  string `json:"pool,omitempty"`
	Node  string `json:"node,omitempty"`
}

// reply is its answer.
type reply struct {
	Error  string  `json:"error,omitempty"`
	Node   string  `json:"node,omitempty"`
	Status *Status `json:"status,omitempty"`
}

// Status is what `status -o json` prints.
type Status struct {
	Ready      bool        `json:"ready"`
	PID        int         `json:"pid"`
	Dir        string      `json:"dir"`
	Kubeconfig string      `json:"kubeconfig"`
	Server     string      `json:"server"`
	Block      string      `json:"block"`
	Started    time.Time   `json:"started"`
	Components []Component `json:"components"`
	Nodes      []NodeState `json:"nodes"`
}

// Component is one process of the cluster.
type Component struct {
	Name  string `json:"name"`
	PID   int    `json:"pid"`
	Alive bool   `json:"alive"`
}

// NodeState is one node with a kubelet of its own.
type NodeState struct {
	Name       string `json:"name"`
	Shape      string `json:"shape"`
	Pool       string `json:"pool"`
	ProviderID string `json:"providerID"`
	PID        int    `json:"pid"`
	Alive      bool   `json:"alive"`
}

// inFolder names a socket by an open folder, however long the folder's path is.
func inFolder(folder, name string) (path string, release func(), err error) {
	descriptor, err := unix.Open(folder, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, fmt.Errorf("the folder %s: %w", folder, err)
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", descriptor, name), func() { unix.Close(descriptor) }, nil
}

func listenIn(folder, name string) (net.Listener, error) {
	path, release, err := inFolder(folder, name)
	if err != nil {
		return nil, err
	}
	defer release()
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("the socket %s: %w", filepath.Join(folder, name), err)
	}
	// The path goes through a descriptor that will mean something else later; the folder is removed as a whole.
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	return listener, nil
}

func dial(folder string) (*net.UnixConn, error) {
	path, release, err := inFolder(folder, controlSocket)
	if err == nil {
		defer release()
		var connection net.Conn
		if connection, err = net.Dial("unix", path); err == nil {
			return connection.(*net.UnixConn), nil
		}
	}
	return nil, fmt.Errorf("no cluster is up in %s; start one with: nimble-cluster up --dir %s", folder, folder)
}

// ask sends one request to the supervisor and waits for its answer.
func ask(folder string, r request, limit time.Duration) (*reply, error) {
	connection, err := dial(folder)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	return exchange(connection, r, limit)
}

func exchange(connection net.Conn, r request, limit time.Duration) (*reply, error) {
	if err := connection.SetDeadline(time.Now().Add(limit)); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(connection).Encode(r); err != nil {
		return nil, fmt.Errorf("the cluster's supervisor does not listen: %w", err)
	}
	var answer reply
	if err := json.NewDecoder(connection).Decode(&answer); err != nil {
		return nil, fmt.Errorf("the cluster's supervisor did not answer %q within %s: %w", r.Do, limit, err)
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	return &answer, nil
}

// AddNode starts the kubelet of one more node and returns the node's name. An empty pool is named after the shape.
func AddNode(folder, shape, pool string) (string, error) {
	answer, err := ask(folder, request{Do: "node-add", Shape: shape, Pool: pool}, time.Minute)
	if err != nil {
		return "", err
	}
	return answer.Node, nil
}

// RemoveNode ends a node's kubelet and deletes its Node object, as a terminated instance's is.
func RemoveNode(folder, name string) error {
	_, err := ask(folder, request{Do: "node-remove", Node: name}, time.Minute)
	return err
}

// down ends the cluster and returns when nothing of it is left.
func down(arguments []string) error {
	flags, dir := folderFlags("down")
	if err := parse(flags, dir, arguments, 0); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(*dir, "cluster-id")); err != nil {
		return fmt.Errorf("there is no cluster in %s", *dir)
	}
	connection, err := dial(*dir)
	if err != nil {
		lock, id, err := lockFolder(*dir)
		if err != nil {
			return fmt.Errorf("the cluster in %s is just starting or ending; try again", *dir)
		}
		defer lock.Close()
		return sweep(*dir, id)
	}
	defer connection.Close()
	ended, err := watchPeer(connection)
	if err != nil {
		return err
	}
	if _, err := exchange(connection, request{Do: "down"}, 10*time.Second); err != nil {
		return err
	}
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		return fmt.Errorf("the cluster in %s has not ended within 30 s; its supervisor is process %d", *dir, peer(connection))
	}
	if _, err := os.Stat(*dir); err == nil {
		return fmt.Errorf("the cluster has ended, but %s could not be removed", *dir)
	}
	return nil
}

func peer(connection *net.UnixConn) int {
	raw, err := connection.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(descriptor uintptr) {
		if credentials, err := unix.GetsockoptUcred(int(descriptor), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(credentials.Pid)
		}
	})
	return pid
}

// watchPeer returns a channel that is closed when the process at the other end has gone.
func watchPeer(connection *net.UnixConn) (<-chan struct{}, error) {
	pid := peer(connection)
	if pid == 0 {
		return nil, errors.New("the cluster's supervisor cannot be seen from here")
	}
	return watchProcess(pid)
}

// watchProcess returns a channel that is closed when the process has gone. A process descriptor rather than a death
// signal: that one comes when the thread ends that started us, which in a Python test may be any.
func watchProcess(pid int) (<-chan struct{}, error) {
	ended := make(chan struct{})
	if pid == 0 { // a parent in another process namespace, as a container's first process has
		return ended, nil
	}
	descriptor, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		close(ended)
		return ended, nil
	}
	if err != nil {
		return nil, fmt.Errorf("process %d cannot be watched: %w", pid, err)
	}
	go func() {
		defer unix.Close(descriptor)
		for {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}}, -1)
			if !errors.Is(err, unix.EINTR) {
				close(ended)
				return
			}
		}
	}()
	return ended, nil
}

func status(arguments []string) error {
	flags, dir := folderFlags("status")
	format := flags.String("o", "", "json, or nothing for people")
	if err := parse(flags, dir, arguments, 0); err != nil {
		return err
	}
	if *format != "" && *format != "json" {
		return usageError{"-o knows json only"}
	}
	answer, err := ask(*dir, request{Do: "status"}, 10*time.Second)
	if err != nil {
		return err
	}
	if *format == "json" {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(answer.Status)
	}
	s := answer.Status
	fmt.Printf("cluster in %s: ready %t, up for %s\nserver %s\nkubeconfig %s\n\n", s.Dir, s.Ready, time.Since(s.Started).Round(time.Second), s.Server, s.Kubeconfig)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	for _, c := range s.Components {
		fmt.Fprintf(table, "%s\tpid %d\t%s\n", c.Name, c.PID, state(c.Alive))
	}
	for _, n := range s.Nodes {
		fmt.Fprintf(table, "node %s\tpid %d\t%s\t%s\t%s\n", n.Name, n.PID, state(n.Alive), n.Shape, strings.TrimSpace(n.Pool))
	}
	return table.Flush()
}

func state(alive bool) string {
	if alive {
		return "runs"
	}
	return "has ended"
}
