package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// startStreams serves exec, attach and port-forward on a loopback port; the kubelet's own server, which speaks TLS, hands
// its callers' streams on to it.
func (r *scriptedRuntime) startStreams() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	settings := streaming.DefaultConfig
	settings.BaseURL = &url.URL{Scheme: "http", Host: listener.Addr().String(), Path: "/"}
	if r.streams, err = streaming.NewServer(settings, streamer{r}); err != nil {
		return err
	}
	go func() { _ = http.Serve(listener, r.streams) }() // lives as long as the process
	return nil
}

// Exec tells where a command can be run.
func (r *scriptedRuntime) Exec(_ context.Context, request *cri.ExecRequest) (*cri.ExecResponse, error) {
	if _, err := r.running(request.GetContainerId()); err != nil {
		return nil, err
	}
	return r.streams.GetExec(request)
}

// Attach tells where a container's output can be followed.
func (r *scriptedRuntime) Attach(_ context.Context, request *cri.AttachRequest) (*cri.AttachResponse, error) {
	if _, err := r.running(request.GetContainerId()); err != nil {
		return nil, err
	}
	return r.streams.GetAttach(request)
}

// PortForward tells where connections to a pod can be opened.
func (r *scriptedRuntime) PortForward(_ context.Context, request *cri.PortForwardRequest) (*cri.PortForwardResponse, error) {
	return r.streams.GetPortForward(request)
}

// running returns a container that runs.
func (r *scriptedRuntime) running(id string) (*container, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[id]
	if c == nil {
		return nil, notFound("container", id)
	}
	if c.state != cri.ContainerState_CONTAINER_RUNNING {
		return nil, runtimeError(fmt.Sprintf("container is in %s state", c.state))
	}
	return c, nil
}

// ExecSync runs the command of an exec probe or a hook. A probe's command succeeds when the HTTP server of the container
// would say that it is ready, whatever the command is.
func (r *scriptedRuntime) ExecSync(ctx context.Context, id string, command []string, timeout time.Duration) ([]byte, []byte, error) {
	c, err := r.running(id)
	if err != nil {
		return nil, nil, err
	}
	var stdout, stderr strings.Builder
	code := 0
	if probing(r.latest(c.sandbox), c.name(), command) {
		if !r.ready(c) {
			code = 1
			stderr.WriteString("not ready\n")
		}
	} else {
		if timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		if code, err = r.command(ctx, c, command, strings.NewReader(""), &stdout, &stderr); err != nil {
			return nil, nil, err
		}
	}
	if code != 0 {
		err = utilexec.CodeExitError{Err: fmt.Errorf("command '%s' exited with %d: %s", strings.Join(command, " "), code, stderr.String()), Code: code}
	}
	return []byte(stdout.String()), []byte(stderr.String()), err
}

// probing says whether a command is that of one of the container's probes.
func probing(pod *v1.Pod, name string, command []string) bool {
	c, _ := containerOf(pod, name)
	for what, handler := range dialers(c) {
		if strings.HasSuffix(what, "Probe") && handler.Exec != nil && slices.Equal(handler.Exec.Command, command) {
			return true
		}
	}
	return false
}

// streamer is what the streaming server asks to do the work.
type streamer struct{ runtime *scriptedRuntime }

// Exec runs one of the few commands that a scripted container knows.
func (s streamer) Exec(ctx context.Context, id string, command []string, in io.Reader, out, errs io.WriteCloser, tty bool, _ <-chan remotecommand.TerminalSize) error {
	c, err := s.runtime.running(id)
	if err != nil {
		return err
	}
	if in == nil {
		in = strings.NewReader("")
	}
	var complaints io.Writer = errs
	if errs == nil {
		if complaints = io.Discard; tty && out != nil {
			complaints = out
		}
	}
	var results io.Writer = out
	if out == nil {
		results = io.Discard
	}
	code, err := s.runtime.command(ctx, c, command, in, results, complaints)
	if err != nil {
		return errors.New(status.Convert(err).Message()) // streams carry words, no codes
	}
	if code != 0 {
		return utilexec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
	}
	return nil
}

// Attach has nothing to say: what a scripted container logs, it logs at its start. It ends with the container.
func (s streamer) Attach(ctx context.Context, id string, _ io.Reader, _, _ io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		if _, err := s.runtime.running(id); err != nil {
			return nil
		}
		<-tick.C
	}
	return ctx.Err()
}

// PortForward connects a stream with a port of the pod.
func (s streamer) PortForward(ctx context.Context, sandboxID string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	s.runtime.mu.Lock()
	inside := s.runtime.sandboxes[sandboxID]
	s.runtime.mu.Unlock()
	if inside == nil || inside.address == "" {
		return notFound("sandbox", sandboxID)
	}
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(inside.address, strconv.Itoa(int(port))))
	if err != nil {
		namespace := "/var/run/netns/cni-" + sandboxID[:8]
		return fmt.Errorf("failed to execute portforward in network namespace %q: failed to connect to localhost:%d inside namespace %q, IPv4: dial tcp4 127.0.0.1:%d: connect: connection refused IPv6 dial tcp6: address localhost: no suitable address found ",
			namespace, port, sandboxID, port)
	}
	defer connection.Close()
	go func() {
		_, _ = io.Copy(connection, stream) // an error ends the connection, which the other direction sees
		if half, ok := connection.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
	}()
	_, err = io.Copy(stream, connection)
	return err
}
