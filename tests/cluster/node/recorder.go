package node

import (
	"bytes"
	"context"
	"strings"

	v1 "k8s.io/api/core/v1"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
)

// published is what the cluster shows in place of the first two numbers of a pod's loopback address.
const published = "10.244."

// newRecorder makes the recorder that kubemark leaves out: a real one, with all its folding and rate limits. What a probe
// reports of the address that it dialled is published as the address of the pod is.
func newRecorder(ctx context.Context, events typedcore.EventsGetter, options Options) record.EventRecorderLogger {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	block := options.PodBlock[:strings.LastIndex(options.PodBlock, ".")+1] // of 127.77.11 this is 127.77.
	broadcaster.StartRecordingToSink(publishing{&typedcore.EventSinkImpl{Interface: events.Events("")}, block})
	return broadcaster.NewRecorder(legacyscheme.Scheme, v1.EventSource{Component: "kubelet", Host: options.Node.Name})
}

// publishing is the way of events to the API server. The block is that of all pods of the cluster, "127.77.".
type publishing struct {
	record.EventSink
	block string
}

// Create sends a new event.
func (p publishing) Create(event *v1.Event) (*v1.Event, error) {
	event.Message = strings.ReplaceAll(event.Message, p.block, published)
	return p.EventSink.Create(event)
}

// Update sends an event again.
func (p publishing) Update(event *v1.Event) (*v1.Event, error) {
	event.Message = strings.ReplaceAll(event.Message, p.block, published)
	return p.EventSink.Update(event)
}

// Patch sends what changed in an event.
func (p publishing) Patch(event *v1.Event, data []byte) (*v1.Event, error) {
	return p.EventSink.Patch(event, bytes.ReplaceAll(data, []byte(p.block), []byte(published)))
}
