package node

import (
	"context"
	"path/filepath"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Exit codes of containers that somebody stopped: 128 and the number of SIGTERM or SIGKILL.
const (
	terminated = 143
	killed     = 137
)

// startFailed is the exit code that runtimes state for a container that could not be started.
const startFailed = 128

// container is one attempt to run a container of a pod.
type container struct {
	id        string
	sandbox   *sandbox
	config    *cri.ContainerConfig
	image     *cri.Image
	logPath   string
	createdAt time.Time

	// Guarded by the runtime's lock.
	state                 cri.ContainerState
	startedAt, finishedAt time.Time
	exitCode              int32
	reason, message       string
	resources             *cri.ContainerResources
	cancel                context.CancelFunc // ends its timers and servers; nil before the start
}

func (c *container) name() string { return c.config.GetMetadata().GetName() }

// script reads the fate of the container as the pod's annotations tell it now.
func (r *scriptedRuntime) script(c *container) (Script, error) {
	return scriptOf(r.latest(c.sandbox), c.name())
}

// age is how long the container has been running.
func (r *scriptedRuntime) age(c *container) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(c.startedAt)
}

// CreateContainer makes an attempt known, or returns the scripted error.
func (r *scriptedRuntime) CreateContainer(_ context.Context, sandboxID string, config *cri.ContainerConfig, sandboxConfig *cri.PodSandboxConfig) (string, error) {
	r.mu.Lock()
	inside := r.sandboxes[sandboxID]
	r.mu.Unlock()
	if inside == nil {
		return "", notFound("sandbox", sandboxID)
	}
	made := &container{
		id: newID(), sandbox: inside, config: config, createdAt: time.Now(), state: cri.ContainerState_CONTAINER_CREATED,
		logPath: filepath.Join(sandboxConfig.GetLogDirectory(), config.GetLogPath()), image: r.images.find(config.GetImage().GetImage()),
		resources: &cri.ContainerResources{Linux: config.GetLinux().GetResources()},
	}
	script, err := r.script(made)
	if err != nil {
		return "", runtimeError(err.Error())
	}
	if script.CreateError != "" {
		return "", runtimeError(script.CreateError)
	}
	if made.image == nil {
		return "", runtimeError("failed to resolve image " + config.GetImage().GetImage() + ": not found")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.containers[made.id] = made
	return made.id, nil
}

// StartContainer lets the container log, listen and, if so scripted, exit; or returns the scripted error.
func (r *scriptedRuntime) StartContainer(_ context.Context, id string) error {
	c := r.find(id)
	if c == nil {
		return notFound("container", id)
	}
	script, err := r.script(c)
	if err != nil {
		return runtimeError(err.Error())
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.mu.Lock()
	if c.state != cri.ContainerState_CONTAINER_CREATED {
		defer r.mu.Unlock()
		cancel()
		return status.Errorf(codes.Unknown, "container is in %s state", c.state)
	}
	c.state, c.startedAt, c.cancel = cri.ContainerState_CONTAINER_RUNNING, time.Now(), cancel
	r.mu.Unlock()
	if script.StartError != "" {
		refused := runtimeError(script.StartError)
		r.end(c, startFailed, "StartError", status.Convert(refused).Message())
		return refused
	}
	if err := writeLog(c.logPath, script.Log); err != nil {
		r.end(c, startFailed, "StartError", err.Error())
		return runtimeError(err.Error())
	}
	r.serve(ctx, c)
	if code, reason := script.Exit(int(c.config.GetMetadata().GetAttempt())); code != run {
		timer := time.AfterFunc(script.ExitAfter, func() { r.end(c, code, reason, "") })
		context.AfterFunc(ctx, func() { timer.Stop() })
	}
	return nil
}

// end makes a running container an exited one; one that has exited stays as it is.
func (r *scriptedRuntime) end(c *container, code int32, reason, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.state != cri.ContainerState_CONTAINER_RUNNING {
		return
	}
	c.cancel()
	c.state, c.finishedAt = cri.ContainerState_CONTAINER_EXITED, time.Now()
	c.exitCode, c.reason, c.message = code, reason, message
}

func (r *scriptedRuntime) find(id string) *container {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.containers[id]
}

// StopContainer ends a container at once: by SIGTERM, or by SIGKILL when it was given no time.
func (r *scriptedRuntime) StopContainer(_ context.Context, id string, timeout int64) error {
	c := r.find(id)
	if c == nil {
		return nil // as the CRI demands: a container that is gone has been stopped
	}
	code := int32(terminated)
	if timeout == 0 {
		code = killed
	}
	r.end(c, code, "Error", "")
	return nil
}

// RemoveContainer forgets a container, ending it first.
func (r *scriptedRuntime) RemoveContainer(_ context.Context, id string) error {
	if c := r.find(id); c != nil {
		r.end(c, killed, "Error", "")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.containers, id)
	return nil
}

// ListContainers returns the containers that pass the filter.
func (r *scriptedRuntime) ListContainers(_ context.Context, filter *cri.ContainerFilter) ([]*cri.Container, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*cri.Container
	for _, c := range r.containers {
		if !among(filter.GetId(), c.id) || !among(filter.GetPodSandboxId(), c.sandbox.id) || !carries(c.config.GetLabels(), filter.GetLabelSelector()) ||
			(filter.GetState() != nil && filter.GetState().GetState() != c.state) {
			continue
		}
		all = append(all, &cri.Container{
			Id: c.id, PodSandboxId: c.sandbox.id, Metadata: c.config.GetMetadata(), Image: c.config.GetImage(), ImageRef: c.imageRef(), ImageId: c.image.GetId(),
			State: c.state, CreatedAt: c.createdAt.UnixNano(), Labels: c.config.GetLabels(), Annotations: c.config.GetAnnotations(),
		})
	}
	return all, nil
}

// imageRef is the image by digest, which runtimes report in place of its name.
func (c *container) imageRef() string {
	if digests := c.image.GetRepoDigests(); len(digests) > 0 {
		return digests[0]
	}
	return c.image.GetId()
}

// imageName is the image as the pod names it.
func (c *container) imageName() string {
	if tags := c.image.GetRepoTags(); len(tags) > 0 {
		return tags[0]
	}
	return c.imageRef()
}

// ContainerStatus returns one container.
func (r *scriptedRuntime) ContainerStatus(_ context.Context, id string, _ bool) (*cri.ContainerStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[id]
	if c == nil {
		return nil, notFound("container", id)
	}
	state := &cri.ContainerStatus{
		Id: c.id, Metadata: c.config.GetMetadata(), State: c.state, CreatedAt: c.createdAt.UnixNano(),
		ExitCode: c.exitCode, Reason: c.reason, Message: c.message, Image: &cri.ImageSpec{Image: c.imageName()}, ImageRef: c.imageRef(), ImageId: c.image.GetId(),
		Labels: c.config.GetLabels(), Annotations: c.config.GetAnnotations(), Mounts: c.config.GetMounts(), LogPath: c.logPath, Resources: c.resources,
	}
	if !c.startedAt.IsZero() {
		state.StartedAt = c.startedAt.UnixNano()
	}
	if !c.finishedAt.IsZero() {
		state.FinishedAt = c.finishedAt.UnixNano()
	}
	return &cri.ContainerStatusResponse{Status: state}, nil
}

// UpdateContainerResources notes what a resize asks for, so that the kubelet sees it done.
func (r *scriptedRuntime) UpdateContainerResources(_ context.Context, id string, resources *cri.ContainerResources) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[id]
	if c == nil {
		return notFound("container", id)
	}
	c.resources = resources
	return nil
}

// ReopenContainerLog begins a new log file after a rotation.
func (r *scriptedRuntime) ReopenContainerLog(_ context.Context, id string) error {
	if c := r.find(id); c != nil {
		return writeLog(c.logPath, "")
	}
	return notFound("container", id)
}
