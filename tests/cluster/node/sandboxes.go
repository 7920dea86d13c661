package node

import (
	"context"
	"fmt"
	"os"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// sandbox is what a runtime keeps of a pod: here an address, and the pod itself.
type sandbox struct {
	id        string
	config    *cri.PodSandboxConfig
	handler   string
	createdAt time.Time
	ready     bool
	address   string  // empty on the host network
	pod       *v1.Pod // as last seen; outlives the pod's deletion
}

// latest returns the sandbox's pod with the annotations it has now.
func (r *scriptedRuntime) latest(s *sandbox) *v1.Pod {
	r.mu.Lock()
	defer r.mu.Unlock()
	if pod := r.pods.now(s.pod.UID); pod != nil {
		s.pod = pod
	}
	return s.pod
}

// RunPodSandbox gives the pod an address, or the scripted error.
func (r *scriptedRuntime) RunPodSandbox(ctx context.Context, config *cri.PodSandboxConfig, handler string) (string, error) {
	metadata := config.GetMetadata()
	pod, err := r.pods.await(ctx, types.UID(metadata.GetUid()))
	if err != nil {
		return "", runtimeError(err.Error())
	}
	script, err := scriptOf(pod, "")
	if err != nil {
		return "", runtimeError(err.Error())
	}
	if err := leaves(pod); err != nil {
		return "", runtimeError(err.Error())
	}
	if script.SandboxError != "" {
		return "", runtimeError(script.SandboxError)
	}
	if handler != "" && handler != "nvidia" {
		return "", runtimeError(fmt.Sprintf("failed to get sandbox runtime: no runtime for %q is configured", handler))
	}
	made := &sandbox{id: newID(), config: config, handler: handler, createdAt: time.Now(), ready: true, pod: pod}
	if !pod.Spec.HostNetwork {
		if made.address, err = r.addresses.take(); err != nil {
			return "", runtimeError(fmt.Sprintf("failed to setup network for sandbox %q: plugin type=\"oci-ipvlan\" failed (add): %v", made.id, err))
		}
	}
	if err := os.MkdirAll(config.GetLogDirectory(), 0o755); err != nil {
		return "", runtimeError(err.Error())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sandboxes[made.id] = made
	return made.id, nil
}

// StopPodSandbox kills what still runs in the sandbox and frees its address.
func (r *scriptedRuntime) StopPodSandbox(_ context.Context, id string) error {
	r.mu.Lock()
	found := r.sandboxes[id]
	var inside []*container
	for _, c := range r.containers {
		if c.sandbox == found {
			inside = append(inside, c)
		}
	}
	r.mu.Unlock()
	if found == nil {
		return nil // as the CRI demands: a sandbox that is gone has been stopped
	}
	for _, c := range inside {
		r.end(c, killed, "Error", "")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if found.ready && found.address != "" {
		r.addresses.giveBack(found.address)
	}
	found.ready = false
	return nil
}

// RemovePodSandbox forgets the sandbox and its containers.
func (r *scriptedRuntime) RemovePodSandbox(ctx context.Context, id string) error {
	if err := r.StopPodSandbox(ctx, id); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for containerID, c := range r.containers {
		if c.sandbox.id == id {
			delete(r.containers, containerID)
		}
	}
	delete(r.sandboxes, id)
	return nil
}

func (s *sandbox) state() cri.PodSandboxState {
	if s.ready {
		return cri.PodSandboxState_SANDBOX_READY
	}
	return cri.PodSandboxState_SANDBOX_NOTREADY
}

// PodSandboxStatus returns the sandbox with its address.
func (r *scriptedRuntime) PodSandboxStatus(_ context.Context, id string, _ bool) (*cri.PodSandboxStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sandboxes[id]
	if s == nil {
		return nil, notFound("sandbox", id)
	}
	state := &cri.PodSandboxStatus{
		Id: s.id, Metadata: s.config.GetMetadata(), State: s.state(), CreatedAt: s.createdAt.UnixNano(),
		Network: &cri.PodSandboxNetworkStatus{}, Labels: s.config.GetLabels(), Annotations: s.config.GetAnnotations(), RuntimeHandler: s.handler,
		Linux: &cri.LinuxPodSandboxStatus{Namespaces: &cri.Namespace{Options: s.config.GetLinux().GetSecurityContext().GetNamespaceOptions()}},
	}
	if s.ready {
		state.Network.Ip = s.address
	}
	return &cri.PodSandboxStatusResponse{Status: state, Timestamp: time.Now().UnixNano()}, nil
}

// ListPodSandbox returns the sandboxes that pass the filter.
func (r *scriptedRuntime) ListPodSandbox(_ context.Context, filter *cri.PodSandboxFilter) ([]*cri.PodSandbox, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*cri.PodSandbox
	for _, s := range r.sandboxes {
		if !among(filter.GetId(), s.id) || !carries(s.config.GetLabels(), filter.GetLabelSelector()) ||
			(filter.GetState() != nil && filter.GetState().GetState() != s.state()) {
			continue
		}
		all = append(all, &cri.PodSandbox{
			Id: s.id, Metadata: s.config.GetMetadata(), State: s.state(), CreatedAt: s.createdAt.UnixNano(),
			Labels: s.config.GetLabels(), Annotations: s.config.GetAnnotations(), RuntimeHandler: s.handler,
		})
	}
	return all, nil
}

// UpdatePodSandboxResources has no cgroup to update.
func (r *scriptedRuntime) UpdatePodSandboxResources(context.Context, *cri.UpdatePodSandboxResourcesRequest) (*cri.UpdatePodSandboxResourcesResponse, error) {
	return &cri.UpdatePodSandboxResourcesResponse{}, nil
}
