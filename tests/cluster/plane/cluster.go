package plane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"nimble-watch.test/cluster/shapes"
)

// cluster is what the supervisor knows of the cluster that it runs.
type cluster struct {
	options
	block   string
	began   time.Time
	say     func(string, ...any)
	fail    context.CancelCauseFunc
	starter *starter

	authority *authority
	server    string
	client    kubernetes.Interface

	mu    sync.Mutex
	ready bool
	core  []*process
	nodes map[string]*member
}

// member is a node with a kubelet.
type member struct {
	shapes.Node
	kubelet *process
}

func (c *cluster) kubeconfig() string { return filepath.Join(c.folder, "kubeconfig") }

// start brings everything up, in an order in which nothing waits for what does not need it.
func (c *cluster) start(ctx context.Context) error {
	c.nodes = map[string]*member{}
	var err error
	if c.authority, err = newAuthority(filepath.Join(c.folder, "certs")); err != nil {
		return err
	}
	if err := writeConfiguration(c.folder, c.authority); err != nil {
		return err
	}
	if err := serveEgress(c.folder, c.logs, c.block); err != nil {
		return err
	}
	if err := c.serveControl(); err != nil {
		return err
	}
	c.say("folder, certificates and addresses %s.0.0/16 are there", c.block)
	if err := c.startPart(etcdArguments()); err != nil {
		return err
	}
	if err := c.startServer(ctx); err != nil {
		return err
	}
	c.say("etcd and API server are ready: %s", c.server)
	if err := install(ctx, c.client, c.block); err != nil {
		return c.explain(err)
	}
	for _, arguments := range [][]string{controllerManagerArguments(), schedulerArguments(), scriptedArguments(c.folder, c.block)} {
		if err := c.startPart(arguments); err != nil {
			return err
		}
	}
	var names []string
	for _, w := range c.options.nodes {
		for range w.count {
			name, err := c.addNode(w.shape.Key, "")
			if err != nil {
				return err
			}
			names = append(names, name)
		}
	}
	c.say("controller manager, scheduler, scripted controllers and %d kubelets are started", len(names))
	if c.kwokNodes > 0 {
		if err := c.startPart(kwokArguments()); err != nil {
			return err
		}
		if err := fakeNodes(ctx, c.client, c.kwokNodes); err != nil {
			return c.explain(err)
		}
		for index := range c.kwokNodes {
			names = append(names, fakeNodeName(index))
		}
		c.say("%d nodes for kwok are created", c.kwokNodes)
	}
	if err := policiesWork(ctx, c.client); err != nil {
		return c.explain(err)
	}
	if err := accountsWork(ctx, c.client); err != nil {
		return c.explain(err)
	}
	if err := nodesReady(ctx, c.client, names); err != nil {
		return c.explain(err)
	}
	c.mu.Lock()
	c.ready = true
	c.mu.Unlock()
	return nil
}

// explain prefers the death of a part to what others noticed of it.
func (c *cluster) explain(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	parts := append([]*process{}, c.core...)
	for _, m := range c.nodes {
		parts = append(parts, m.kubelet)
	}
	for _, part := range parts {
		if !part.alive() {
			return part.failure()
		}
	}
	words := make([]string, 0, len(parts))
	for _, part := range parts {
		words = append(words, fmt.Sprintf("%s: %s", part.name, lastLines(part.log, 1)))
	}
	sort.Strings(words)
	return fmt.Errorf("%w. No part has died; their last words:\n%s", err, indent(strings.Join(words, "\n")))
}

// startPart starts a part without which there is no cluster: when it ends, everything does.
func (c *cluster) startPart(arguments []string) error {
	part, err := c.starter.start(arguments[0], arguments...)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.core = append(c.core, part)
	c.mu.Unlock()
	go func() {
		<-part.ended
		c.fail(part.failure())
	}()
	return nil
}

// startServer starts the API server on a free port, and again when another program was quicker to take that.
func (c *cluster) startServer(ctx context.Context) error {
	for range 10 {
		port, err := freePort("127.0.0.1")
		if err != nil {
			return fmt.Errorf("no free port: %w", err)
		}
		c.mu.Lock()
		c.server = fmt.Sprintf("https://127.0.0.1:%d", port)
		c.mu.Unlock()
		if err := writeKubeconfigs(c.folder, c.server, c.authority); err != nil {
			return err
		}
		if c.client, err = connect(filepath.Join(c.folder, "supervisor.kubeconfig")); err != nil {
			return err
		}
		arguments := apiServerArguments(port)
		server, err := c.starter.start(arguments[0], arguments...)
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.core = append(c.core, server)
		c.mu.Unlock()
		if err := c.awaitServer(ctx, server); err != nil {
			return c.explain(err)
		}
		if server.alive() {
			go func() {
				<-server.ended
				c.fail(server.failure())
			}()
			return nil
		}
		if !strings.Contains(lastLines(server.log, 40), "address already in use") {
			return server.failure()
		}
		c.mu.Lock()
		c.core = c.core[:len(c.core)-1]
		c.mu.Unlock()
	}
	return errors.New("ten ports in a row were taken before the API server could listen there")
}

func (c *cluster) awaitServer(ctx context.Context, server *process) error {
	for server.alive() {
		if err := c.client.CoreV1().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error(); err == nil {
			return nil
		}
		if err := pause(ctx, 30*time.Millisecond); err != nil {
			return fmt.Errorf("the API server is not ready: %w", err)
		}
	}
	return nil
}

func connect(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Timeout = -1, 30*time.Second
	return kubernetes.NewForConfig(config)
}

// addNode starts a kubelet under the first free name.
func (c *cluster) addNode(shapeName, pool string) (string, error) {
	shape, err := shapes.Lookup(shapeName)
	if err != nil {
		return "", err
	}
	if pool == "" {
		pool = shape.Key
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for index := shapes.FirstIndex; index <= shapes.LastIndex; index++ {
		name := shapes.NodeName(index)
		if _, taken := c.nodes[name]; taken {
			continue
		}
		m := &member{Node: shapes.Node{Name: name, Shape: shape, Pool: pool}}
		port, err := freePort(kubeletAddress(c.block, index))
		if err != nil {
			return "", err
		}
		arguments, err := kubeletArguments(c.folder, c.server, c.block, c.authority, m.Node, port)
		if err != nil {
			return "", err
		}
		if m.kubelet, err = c.starter.start("kubelet-"+name, arguments...); err != nil {
			return "", err
		}
		c.nodes[name] = m
		go func() {
			<-m.kubelet.ended
			c.mu.Lock()
			wished := c.nodes[name] != m
			c.mu.Unlock()
			if !wished {
				c.say("the kubelet of node %s has died: %v", name, m.kubelet.failure())
			}
		}()
		return name, nil
	}
	return "", fmt.Errorf("all node addresses up to %s are taken", shapes.NodeName(shapes.LastIndex))
}

// letGo stops minding whether nodes live: the cluster ends, and that their kubelets end with it is no news.
func (c *cluster) letGo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = map[string]*member{}
}

// removeNode ends a kubelet and deletes its node, in this order: a living kubelet would register again.
func (c *cluster) removeNode(name string) error {
	c.mu.Lock()
	m, known := c.nodes[name]
	delete(c.nodes, name)
	c.mu.Unlock()
	if !known {
		return fmt.Errorf("no kubelet of this cluster runs a node %q", name)
	}
	m.kubelet.end()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := c.client.CoreV1().Nodes().Delete(ctx, name, meta.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("the node %s: %w", name, err)
	}
	return os.RemoveAll(filepath.Join(c.folder, "nodes", name))
}

// serveControl answers the other commands.
func (c *cluster) serveControl() error {
	listener, err := listenIn(c.folder, controlSocket)
	if err != nil {
		return err
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				c.fail(fmt.Errorf("the control socket: %w", err))
				return
			}
			go c.answer(connection)
		}
	}()
	return nil
}

func (c *cluster) answer(connection net.Conn) {
	defer connection.Close()
	_ = connection.SetReadDeadline(time.Now().Add(10 * time.Second))
	var r request
	if err := json.NewDecoder(connection).Decode(&r); err != nil {
		return
	}
	var answer reply
	var err error
	switch r.Do {
	case "status":
		answer.Status = c.status()
	case "node-add", "node-remove":
		if !c.isReady() {
			err = errors.New("the cluster is still starting; try again when it is ready")
			break
		}
		if r.Do == "node-add" {
			answer.Node, err = c.addNode(r.Shape, r.Pool)
		} else {
			err = c.removeNode(r.Node)
		}
	case "down":
	default:
		err = fmt.Errorf("the supervisor knows no %q", r.Do)
	}
	if err != nil {
		answer.Error = err.Error()
	}
	_ = json.NewEncoder(connection).Encode(answer)
	if r.Do == "down" {
		c.fail(askedToEnd{"asked to by `down`"})
	}
}

func (c *cluster) isReady() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready
}

func (c *cluster) status() *Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &Status{
		Ready: c.ready, PID: os.Getpid(), Dir: c.folder, Kubeconfig: c.kubeconfig(), Server: c.server, Block: c.block, Started: c.began.UTC(),
		Components: []Component{}, Nodes: []NodeState{},
	}
	for _, part := range c.core {
		s.Components = append(s.Components, Component{part.name, part.pid, part.alive()})
	}
	for _, m := range c.nodes {
		s.Nodes = append(s.Nodes, NodeState{m.Name, m.Shape.Name, m.Pool, m.ProviderID(), m.kubelet.pid, m.kubelet.alive()})
	}
	sort.Slice(s.Nodes, func(i, j int) bool { return s.Nodes[i].Name < s.Nodes[j].Name })
	return s
}
