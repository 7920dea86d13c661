package plane

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// egressSocket is relative to the cluster's folder, in which every component runs: the path of a Unix socket may have
// no more than 107 characters.
const egressSocket = "egress.sock"

// egressConfiguration sends whatever the API server dials, but for etcd, through the proxy below. (Naming etcd here,
// even as direct, makes the API server dial it by TCP, and it listens on a Unix socket.)
const egressConfiguration = `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection: {proxyProtocol: HTTPConnect, transport: {uds: {udsName: ` + egressSocket + `}}}
- name: controlplane
  connection: {proxyProtocol: HTTPConnect, transport: {uds: {udsName: ` + egressSocket + `}}}
`

// serveEgress is the way from the API server to kubelets (logs, exec, port-forward), pods and webhooks. Their published
// addresses are nobody's here, or a stranger's: it dials the loopback address behind them, and nothing else at all.
func serveEgress(folder, logs, block string) error {
	listener, err := listenIn(folder, egressSocket)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(logs, "egress.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	record := log.New(file, "", log.LstdFlags|log.LUTC|log.Lmicroseconds)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				record.Print("ended: ", err)
				return
			}
			go tunnel(client, block, record)
		}
	}()
	return nil
}

// tunnel answers one CONNECT request.
func tunnel(client net.Conn, block string, record *log.Logger) {
	defer client.Close()
	reader := bufio.NewReader(client)
	asked, err := http.ReadRequest(reader)
	if err != nil {
		record.Print("no request: ", err)
		return
	}
	refuse := func(status int, why error) {
		record.Printf("%s %s refused: %v", asked.Method, asked.Host, why)
		text := why.Error()
		fmt.Fprintf(client, "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
			status, http.StatusText(status), len(text), text)
	}
	if asked.Method != http.MethodConnect {
		refuse(http.StatusMethodNotAllowed, fmt.Errorf("only CONNECT is served here"))
		return
	}
	host, port, err := net.SplitHostPort(asked.Host)
	if err != nil {
		refuse(http.StatusBadRequest, err)
		return
	}
	address, err := local(block, host)
	if err != nil {
		refuse(http.StatusForbidden, err)
		return
	}
	server, err := net.DialTimeout("tcp4", net.JoinHostPort(address, port), 10*time.Second)
	if err != nil {
		refuse(http.StatusBadGateway, err)
		return
	}
	defer server.Close()
	record.Printf("CONNECT %s is %s", asked.Host, server.RemoteAddr())
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { pass(server, reader) })
	both.Go(func() { pass(client, server) })
	both.Wait()
}

// pass copies until the end of one direction and says so to the other side.
func pass(to net.Conn, from io.Reader) {
	_, _ = io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
