package scripted

import (
	"context"
	stderrors "errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
)

const (
	balancerFinalizer = "service.kubernetes.io/load-balancer-cleanup"
	publishedPods     = "10.244."
	balancerBlock     = 254
)

var errBalancerLimit = stderrors.New(`creating load balancer: Error returned by LoadBalancer Service. Http Status Code: 400. Error Code: LimitExceeded. ` +
	`Opc request id: 0123456789ABCDEF. Message: The following service limits were exceeded: lb-flexible-count. ` +
	`Request a service limit increase from the service limits page in the console.`)

func schemeOf() *runtime.Scheme { return scheme.Scheme }

// balancers gives Services of type LoadBalancer an address of the loopback range that really leads to a ready pod.
type balancers struct {
	client   kubernetes.Interface
	services corelisters.ServiceLister
	slices   discoverylisters.EndpointSliceLister
	events   record.EventRecorder
	block    string
	worker   *worker
	begun    map[string]time.Time
	open     map[string]*balancer
}

// balancer is what listens for one Service.
type balancer struct {
	address   string
	listeners []net.Listener
}

func newBalancers(client kubernetes.Interface, factory informers.SharedInformerFactory, events record.EventRecorder, block string) *balancers {
	b := &balancers{
		client:   client,
		services: factory.Core().V1().Services().Lister(),
		slices:   factory.Discovery().V1().EndpointSlices().Lister(),
		events:   events, block: block,
		begun: map[string]time.Time{}, open: map[string]*balancer{},
	}
	b.worker = newWorker("service", b.reconcile)
	b.worker.follow(factory.Core().V1().Services().Informer())
	factory.Discovery().V1().EndpointSlices().Informer()
	return b
}

func (b *balancers) run(ctx context.Context) { b.worker.run(ctx) }

func (b *balancers) reconcile(ctx context.Context, key string) (time.Duration, error) {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return 0, err
	}
	service, err := b.services.Services(namespace).Get(name)
	if errors.IsNotFound(err) {
		b.close(key)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if service.DeletionTimestamp != nil || service.Spec.Type != core.ServiceTypeLoadBalancer {
		return 0, b.remove(ctx, key, service)
	}
	if len(service.Status.LoadBalancer.Ingress) > 0 {
		return 0, nil
	}
	since, known := b.begun[key]
	if !known {
		since = time.Now()
		b.begun[key] = since
		if service, err = b.finalize(ctx, service, true); err != nil {
			delete(b.begun, key)
			return 0, err
		}
		b.events.Event(service, core.EventTypeNormal, "EnsuringLoadBalancer", "Ensuring load balancer")
	}
	switch service.Annotations[prefix+"load-balancer"] {
	case "never":
		return 0, nil
	case "limit-exceeded":
		b.events.Eventf(service, core.EventTypeWarning, "SyncLoadBalancerFailed", "Error syncing load balancer: failed to ensure load balancer: %v", errBalancerLimit)
		return 0, errBalancerLimit
	}
	if rest := time.Until(since.Add(scriptedSeconds(service.Annotations, "load-balancer-seconds", time.Second))); rest > 0 {
		return rest, nil
	}
	return 0, b.ensure(ctx, key, service)
}

// ensure opens the listeners and publishes their address.
func (b *balancers) ensure(ctx context.Context, key string, service *core.Service) error {
	opened := b.open[key]
	if opened == nil {
		var err error
		if opened, err = b.listen(service); err != nil {
			return err
		}
		b.open[key] = opened
	}
	service = service.DeepCopy()
	service.Status.LoadBalancer.Ingress = []core.LoadBalancerIngress{{IP: opened.address}}
	service, err := b.client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, service, meta.UpdateOptions{})
	if err != nil {
		return err
	}
	b.events.Event(service, core.EventTypeNormal, "EnsuredLoadBalancer", "Ensured load balancer")
	return nil
}

func (b *balancers) listen(service *core.Service) (*balancer, error) {
	for host := 1; host < 255; host++ {
		opened := &balancer{address: fmt.Sprintf("%s.%d.%d", b.block, balancerBlock, host)}
		free := true
		for _, other := range b.open {
			free = free && other.address != opened.address
		}
		if !free {
			continue
		}
		for _, port := range service.Spec.Ports {
			listener, err := net.Listen("tcp4", net.JoinHostPort(opened.address, strconv.Itoa(int(port.Port))))
			if err != nil {
				opened.close()
				return nil, err
			}
			opened.listeners = append(opened.listeners, listener)
			go b.serve(listener, service.Namespace, service.Name, port.Name)
		}
		return opened, nil
	}
	return nil, stderrors.New("all addresses for load balancers are taken")
}

func (l *balancer) close() {
	for _, listener := range l.listeners {
		listener.Close()
	}
}

func (b *balancers) close(key string) {
	if opened := b.open[key]; opened != nil {
		opened.close()
	}
	delete(b.open, key)
	delete(b.begun, key)
}

func (b *balancers) serve(listener net.Listener, namespace, service, port string) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go b.forward(connection, namespace, service, port)
	}
}

// forward joins a connection with a ready pod, or ends it, as a balancer without backends does.
func (b *balancers) forward(client net.Conn, namespace, service, port string) {
	defer client.Close()
	backend, err := net.DialTimeout("tcp4", b.backend(namespace, service, port), 5*time.Second)
	if err != nil {
		return
	}
	defer backend.Close()
	go func() {
		_, _ = io.Copy(backend, client)
		backend.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(client, backend)
}

// backend finds the address of a ready pod: published as 10.244.x.y, listening at the same place of our loopback block.
func (b *balancers) backend(namespace, service, port string) string {
	slices, err := b.slices.EndpointSlices(namespace).List(labels.SelectorFromSet(labels.Set{discovery.LabelServiceName: service}))
	if err != nil {
		return ""
	}
	for _, slice := range slices {
		for _, offered := range slice.Ports {
			if offered.Name == nil || *offered.Name != port || offered.Port == nil {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				host, published := strings.CutPrefix(endpoint.Addresses[0], publishedPods)
				if published && endpoint.Conditions.Ready != nil && *endpoint.Conditions.Ready {
					return net.JoinHostPort(b.block+"."+host, strconv.Itoa(int(*offered.Port)))
				}
			}
		}
	}
	return ""
}

// remove takes the balancer away and lets the Service go.
func (b *balancers) remove(ctx context.Context, key string, service *core.Service) error {
	if !hasFinalizer(service) {
		b.close(key)
		return nil
	}
	b.events.Event(service, core.EventTypeNormal, "DeletingLoadBalancer", "Deleting load balancer")
	b.close(key)
	service, err := b.finalize(ctx, service, false)
	if err != nil {
		return err
	}
	b.events.Event(service, core.EventTypeNormal, "DeletedLoadBalancer", "Deleted load balancer")
	return nil
}

func hasFinalizer(service *core.Service) bool {
	for _, finalizer := range service.Finalizers {
		if finalizer == balancerFinalizer {
			return true
		}
	}
	return false
}

func (b *balancers) finalize(ctx context.Context, service *core.Service, want bool) (*core.Service, error) {
	if hasFinalizer(service) == want {
		return service, nil
	}
	changed := service.DeepCopy()
	changed.Finalizers = nil
	for _, finalizer := range service.Finalizers {
		if finalizer != balancerFinalizer {
			changed.Finalizers = append(changed.Finalizers, finalizer)
		}
	}
	if want {
		changed.Finalizers = append(changed.Finalizers, balancerFinalizer)
	}
	return b.client.CoreV1().Services(service.Namespace).Update(ctx, changed, meta.UpdateOptions{})
}
