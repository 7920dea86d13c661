package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
)

// scriptedRuntime is the runtime service of one node. One lock guards the sandboxes and containers; nothing slow is done
// while it is held.
type scriptedRuntime struct {
	crio      bool // what the node says it runs: CRI-O or containerd
	pods      *pods
	images    *scriptedImages
	faults    *faults
	addresses *addresses
	streams   streaming.Server

	mu         sync.Mutex
	sandboxes  map[string]*sandbox
	containers map[string]*container
}

func newRuntime(crio bool, pods *pods, images *scriptedImages, faults *faults, addresses *addresses) *scriptedRuntime {
	return &scriptedRuntime{
		crio: crio, pods: pods, images: images, faults: faults, addresses: addresses,
		sandboxes: map[string]*sandbox{}, containers: map[string]*container{},
	}
}

// newID returns an identifier in the form of a container's: 64 hexadecimal digits.
func newID() string {
	bytes := make([]byte, 32)
	_, _ = rand.Read(bytes) // never fails, says crypto/rand
	return hex.EncodeToString(bytes)
}

func notFound(what, id string) error {
	return status.Errorf(codes.NotFound, "an error occurred when try to find %s %q: not found", what, id)
}

// Version names the runtime that the node says it runs.
func (r *scriptedRuntime) Version(context.Context, string) (*cri.VersionResponse, error) {
	name, version := "containerd", "2.1.4"
	if r.crio {
		name, version = "cri-o", "1.34.1"
	}
	return &cri.VersionResponse{Version: "0.1.0", RuntimeName: name, RuntimeVersion: version, RuntimeApiVersion: "v1"}, nil
}

// Status says whether runtime and network are ready; the network is not while the node has the fault not-ready.
func (r *scriptedRuntime) Status(context.Context, bool) (*cri.StatusResponse, error) {
	network := &cri.RuntimeCondition{Type: cri.NetworkReady, Status: true}
	if r.faults.is(faultNotReady) {
		network = &cri.RuntimeCondition{
			Type: cri.NetworkReady, Reason: "NetworkPluginNotReady", Message: "Network plugin returns error: cni plugin not initialized",
		}
		if r.crio {
			network.Message = "Network plugin returns error: No CNI configuration file in /etc/cni/net.d/. Has your network provider started?"
		}
	}
	return &cri.StatusResponse{
		Status:          &cri.RuntimeStatus{Conditions: []*cri.RuntimeCondition{{Type: cri.RuntimeReady, Status: true}, network}},
		RuntimeHandlers: []*cri.RuntimeHandler{{Features: &cri.RuntimeHandlerFeatures{}}, {Name: "nvidia", Features: &cri.RuntimeHandlerFeatures{}}},
	}, nil
}

// RuntimeConfig names the cgroup driver, which nothing here uses.
func (r *scriptedRuntime) RuntimeConfig(context.Context) (*cri.RuntimeConfigResponse, error) {
	return &cri.RuntimeConfigResponse{Linux: &cri.LinuxRuntimeConfiguration{CgroupDriver: cri.CgroupDriver_SYSTEMD}}, nil
}

// UpdateRuntimeConfig takes the node's pod range and needs it not: addresses come from the node's own block.
func (r *scriptedRuntime) UpdateRuntimeConfig(context.Context, *cri.RuntimeConfig) error { return nil }

// Close has nothing to close.
func (r *scriptedRuntime) Close(context.Context) error { return nil }

// GetContainerEvents is not offered; the kubelet lists instead, as it does with its default settings.
func (r *scriptedRuntime) GetContainerEvents(context.Context, chan *cri.ContainerEventResponse, func(cri.RuntimeService_GetContainerEventsClient)) error {
	return unimplemented("GetContainerEvents")
}

// CheckpointContainer is not offered.
func (r *scriptedRuntime) CheckpointContainer(context.Context, *cri.CheckpointContainerRequest) error {
	return unimplemented("CheckpointContainer")
}

func unimplemented(method string) error {
	return status.Errorf(codes.Unimplemented, "method %s not implemented", method)
}

// stats are believable figures of a container: a tenth of a core, 256 MiB, 1 MiB written.
func (c *container) stats() *cri.ContainerStats {
	now := time.Now()
	cpu := uint64(now.Sub(c.startedAt)) / 10
	return &cri.ContainerStats{
		Attributes: &cri.ContainerAttributes{Id: c.id, Metadata: c.config.GetMetadata(), Labels: c.config.GetLabels(), Annotations: c.config.GetAnnotations()},
		Cpu:        &cri.CpuUsage{Timestamp: now.UnixNano(), UsageCoreNanoSeconds: &cri.UInt64Value{Value: cpu}, UsageNanoCores: &cri.UInt64Value{Value: 1e8}},
		Memory: &cri.MemoryUsage{
			Timestamp: now.UnixNano(), WorkingSetBytes: &cri.UInt64Value{Value: 256 << 20}, UsageBytes: &cri.UInt64Value{Value: 256 << 20}, RssBytes: &cri.UInt64Value{Value: 200 << 20},
		},
		WritableLayer: &cri.FilesystemUsage{
			Timestamp: now.UnixNano(), FsId: &cri.FilesystemIdentifier{Mountpoint: mountpoint}, UsedBytes: &cri.UInt64Value{Value: 1 << 20}, InodesUsed: &cri.UInt64Value{Value: 100},
		},
	}
}

// ContainerStats returns the figures of one container.
func (r *scriptedRuntime) ContainerStats(_ context.Context, id string) (*cri.ContainerStats, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.containers[id]; c != nil {
		return c.stats(), nil
	}
	return nil, notFound("container", id)
}

// ListContainerStats returns the figures of running containers.
func (r *scriptedRuntime) ListContainerStats(_ context.Context, filter *cri.ContainerStatsFilter) ([]*cri.ContainerStats, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*cri.ContainerStats
	for _, c := range r.containers {
		if c.state == cri.ContainerState_CONTAINER_RUNNING &&
			among(filter.GetId(), c.id) && among(filter.GetPodSandboxId(), c.sandbox.id) && carries(c.config.GetLabels(), filter.GetLabelSelector()) {
			all = append(all, c.stats())
		}
	}
	return all, nil
}

// PodSandboxStats is not offered: with its default settings the kubelet takes the figures of containers.
func (r *scriptedRuntime) PodSandboxStats(context.Context, string) (*cri.PodSandboxStats, error) {
	return nil, unimplemented("PodSandboxStats")
}

// ListPodSandboxStats is not offered, see PodSandboxStats.
func (r *scriptedRuntime) ListPodSandboxStats(context.Context, *cri.PodSandboxStatsFilter) ([]*cri.PodSandboxStats, error) {
	return nil, unimplemented("ListPodSandboxStats")
}

// ListMetricDescriptors is not offered, see PodSandboxStats.
func (r *scriptedRuntime) ListMetricDescriptors(context.Context) ([]*cri.MetricDescriptor, error) {
	return nil, unimplemented("ListMetricDescriptors")
}

// ListPodSandboxMetrics is not offered, see PodSandboxStats.
func (r *scriptedRuntime) ListPodSandboxMetrics(context.Context) ([]*cri.PodSandboxMetrics, error) {
	return nil, unimplemented("ListPodSandboxMetrics")
}

// among says whether a value passes a filter, where an empty filter lets all pass.
func among(filter, value string) bool { return filter == "" || filter == value }

// carries says whether labels hold every one of the wanted ones.
func carries(labels, wanted map[string]string) bool {
	for key, value := range wanted {
		if labels[key] != value {
			return false
		}
	}
	return true
}
