package node

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// The faults that the annotation Prefix+"fault" of a node can have.
const (
	faultNotReady     = "not-ready"     // the runtime's network plugin is not ready
	faultSilent       = "silent"        // nothing from the node reaches the API server, nor the other way round
	faultNoGPU        = "no-gpu"        // the device plugin is gone: capacity stays, nothing is allocatable
	faultDiskPressure = "disk-pressure" // the file system is nearly full; the kubelet evicts
)

// faults is what is wrong with the node now. A gate in the kubelet's connections makes the node silent.
type faults struct {
	mu     sync.Mutex
	fault  string
	open   map[*gatedBody]bool // answers being read, watches above all
	spoken chan struct{}       // while the node is silent: closed when it speaks again
}

func newFaults() *faults { return &faults{open: map[*gatedBody]bool{}} }

// is says whether the node has this fault.
func (f *faults) is(fault string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault == fault
}

// set changes the fault. A word that is none is refused by the cluster's admission policy; if it gets here all the
// same, it is said in the log and changes nothing.
func (f *faults) set(fault string) {
	switch fault {
	case "", faultNotReady, faultSilent, faultNoGPU, faultDiskPressure:
	default:
		log.Printf("node annotation %sfault has the unknown value %q; want %s, %s, %s or %s", Prefix, fault, faultNotReady, faultSilent, faultNoGPU, faultDiskPressure)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault == fault {
		return
	}
	log.Printf("node fault: %q, was %q", fault, f.fault)
	f.fault = fault
	if f.spoken != nil {
		close(f.spoken)
		f.spoken = nil
	}
	if fault == faultSilent {
		f.spoken = make(chan struct{})
		for body := range f.open {
			_ = body.ReadCloser.Close() // ends the watches; an error means that it is closed already
		}
		clear(f.open)
	}
}

// watch follows the node's annotation until ctx ends, through a client that the gate does not stop.
func (f *faults) watch(ctx context.Context, client kubernetes.Interface, node string) {
	list := cache.NewListWatchFromClient(client.CoreV1().RESTClient(), "nodes", v1.NamespaceAll,
		fields.OneTermEqualSelector("metadata.name", node))
	seen := func(object any) { f.set(object.(*v1.Node).Annotations[Prefix+"fault"]) }
	_, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: list, ObjectType: &v1.Node{},
		Handler: cache.ResourceEventHandlerFuncs{AddFunc: seen, UpdateFunc: func(_, object any) { seen(object) }},
	})
	go controller.RunWithContext(ctx)
}

var errSilent = errors.New("the node is silent, as its annotation " + Prefix + "fault asks for")

// gate holds the kubelet's requests back while the node is silent. They wait, as they would on a network that swallows
// packets, rather than fail: a kubelet whose requests fail waits up to a minute before it tries again, and tests with it.
func (f *faults) gate(next http.RoundTripper) http.RoundTripper { return &gate{f, next} }

type gate struct {
	faults *faults
	next   http.RoundTripper
}

// pass waits until the node is not silent.
func (g *gate) pass(ctx context.Context) error {
	for {
		g.faults.mu.Lock()
		spoken := g.faults.spoken
		g.faults.mu.Unlock()
		if spoken == nil {
			return nil
		}
		select {
		case <-spoken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (g *gate) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := g.pass(request.Context()); err != nil {
		return nil, err
	}
	response, err := g.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	body := &gatedBody{response.Body, g.faults}
	g.faults.mu.Lock()
	defer g.faults.mu.Unlock()
	if g.faults.spoken != nil {
		_ = response.Body.Close() // what was asked is done, but the node shall not learn it
		return nil, errSilent
	}
	response.Body = body
	g.faults.open[body] = true
	return response, nil
}

// WrappedRoundTripper lets client-go find the transport below.
func (g *gate) WrappedRoundTripper() http.RoundTripper { return g.next }

// gatedBody is an answer that ends when the node falls silent.
type gatedBody struct {
	io.ReadCloser
	faults *faults
}

func (b *gatedBody) Close() error {
	b.faults.mu.Lock()
	delete(b.faults.open, b)
	b.faults.mu.Unlock()
	return b.ReadCloser.Close()
}
