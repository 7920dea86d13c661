package node

import (
	"context"
	"fmt"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	internalapi "k8s.io/cri-api/pkg/apis"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubelet/cm/admission"
	"k8s.io/kubernetes/pkg/kubelet/config"
	"k8s.io/kubernetes/pkg/kubelet/lifecycle"
	"k8s.io/kubernetes/pkg/kubelet/status"
)

// gpu is the resource of NVIDIA's device plugin.
const gpu v1.ResourceName = "nvidia.com/gpu"

// devices stands in for the kubelet's container manager: no cgroups, but a device plugin's GPUs, counted and handed out as
// the kubelet's device manager does it, with its words when none is left.
type devices struct {
	cm.ContainerManager
	hardware   *hardware
	gpus       int64
	mu         sync.Mutex
	activePods cm.ActivePodsFunc
	given      map[types.UID]int64
}

func newDevices(hardware *hardware, gpus int64) *devices {
	return &devices{ContainerManager: cm.NewStubContainerManager(), hardware: hardware, gpus: gpus, given: map[types.UID]int64{}}
}

// Start remembers how to ask which pods still hold devices.
func (d *devices) Start(ctx context.Context, node *v1.Node, activePods cm.ActivePodsFunc, getNode cm.GetNodeFunc, sources config.SourcesReady,
	statuses status.PodStatusProvider, runtime internalapi.RuntimeService, isolation bool) error {
	d.mu.Lock()
	d.activePods = activePods
	d.mu.Unlock()
	return d.ContainerManager.Start(ctx, node, activePods, getNode, sources, statuses, runtime, isolation)
}

// GetPodCgroupRoot names the cgroup whose figures hardware makes up for all pods together.
func (d *devices) GetPodCgroupRoot() string { return "/kubepods" }

// NewPodContainerManager reads cgroups of pods, which have none.
func (d *devices) NewPodContainerManager() cm.PodContainerManager {
	return noCgroups{d.ContainerManager.NewPodContainerManager()}
}

type noCgroups struct{ cm.PodContainerManager }

// GetPodCgroupConfig finds no settings, so that the kubelet reports what it allocated.
func (noCgroups) GetPodCgroupConfig(*v1.Pod, v1.ResourceName) (*cm.ResourceConfig, error) {
	return nil, nil
}

// GetCapacity gives the size of the file system.
func (d *devices) GetCapacity(bool) v1.ResourceList {
	return v1.ResourceList{v1.ResourceEphemeralStorage: *resource.NewQuantity(int64(d.hardware.storage), resource.BinarySI)}
}

// GetNodeAllocatableReservation is what the default hard eviction thresholds set aside: 100Mi and a tenth of the disk.
func (d *devices) GetNodeAllocatableReservation() v1.ResourceList {
	return v1.ResourceList{
		v1.ResourceMemory:           resource.MustParse("100Mi"),
		v1.ResourceEphemeralStorage: *resource.NewQuantity(int64(d.hardware.storage/10), resource.BinarySI),
	}
}

// GetDevicePluginResourceCapacity gives capacity and allocatable GPUs. A node without a device plugin of its own (none
// of the CPU shapes has one) does not name the resource at all.
func (d *devices) GetDevicePluginResourceCapacity() (v1.ResourceList, v1.ResourceList, []string) {
	if d.gpus == 0 {
		return nil, nil, nil
	}
	count := func(n int64) v1.ResourceList {
		return v1.ResourceList{gpu: *resource.NewQuantity(n, resource.DecimalSI)}
	}
	return count(d.gpus), count(d.healthy()), nil
}

// healthy is the number of GPUs that can be handed out at all.
func (d *devices) healthy() int64 {
	if d.hardware.faults.is(faultNoGPU) {
		return 0
	}
	return d.gpus
}

// GetAllocateResourcesPodAdmitHandler hands out GPUs when the kubelet admits a pod.
func (d *devices) GetAllocateResourcesPodAdmitHandler() lifecycle.PodAdmitHandler { return d }

// Admit gives the pod its GPUs, or says as the device manager does that there are too few.
func (d *devices) Admit(attributes *lifecycle.PodAdmitAttributes) lifecycle.PodAdmitResult {
	d.mu.Lock()
	defer d.mu.Unlock()
	wanted := gpusOf(attributes.Pod)
	if _, has := d.given[attributes.Pod.UID]; has || wanted == 0 {
		return lifecycle.PodAdmitResult{Admit: true}
	}
	d.takeBack()
	available := d.healthy()
	for _, held := range d.given {
		available -= held
	}
	if available = max(available, 0); wanted > available {
		return admission.GetPodAdmitResult(fmt.Errorf("requested number of devices unavailable for %s. Requested: %d, Available: %d", gpu, wanted, available))
	}
	d.given[attributes.Pod.UID] = wanted
	return lifecycle.PodAdmitResult{Admit: true}
}

// takeBack frees the GPUs of pods that have ended.
func (d *devices) takeBack() {
	if d.activePods == nil {
		return
	}
	active := map[types.UID]bool{}
	for _, pod := range d.activePods() {
		active[pod.UID] = true
	}
	for uid := range d.given {
		if !active[uid] {
			delete(d.given, uid)
		}
	}
}

// gpusOf is the number of GPUs that a pod holds: the sum of its containers, or the largest init container if that is more.
func gpusOf(pod *v1.Pod) (total int64) {
	for _, container := range pod.Spec.Containers {
		total += container.Resources.Limits.Name(gpu, resource.DecimalSI).Value()
	}
	for _, container := range pod.Spec.InitContainers {
		total = max(total, container.Resources.Limits.Name(gpu, resource.DecimalSI).Value())
	}
	return total
}
