package node

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// scriptedImages is the image service of one node: it remembers what was pulled, and pulls as the pod's annotations say.
type scriptedImages struct {
	pods     *pods
	hardware *hardware
	mu       sync.Mutex
	present  map[string]*cri.Image // by complete name
}

func newImages(pods *pods, hardware *hardware) *scriptedImages {
	return &scriptedImages{pods: pods, hardware: hardware, present: map[string]*cri.Image{}}
}

// find returns the image that goes by this name, id or digest; nil if it is not on the node.
func (s *scriptedImages) find(name string) *cri.Image {
	s.mu.Lock()
	defer s.mu.Unlock()
	if parsed, err := parseImage(name); err == nil && s.present[parsed.name] != nil {
		return s.present[parsed.name]
	}
	for _, present := range s.present {
		if present.Id == name || slices.Contains(present.RepoDigests, name) {
			return present
		}
	}
	return nil
}

// ImageStatus returns what is known of an image; a response without an image means that it is not on the node.
func (s *scriptedImages) ImageStatus(_ context.Context, spec *cri.ImageSpec, _ bool) (*cri.ImageStatusResponse, error) {
	return &cri.ImageStatusResponse{Image: s.find(spec.GetImage())}, nil
}

// ListImages returns the images on the node.
func (s *scriptedImages) ListImages(_ context.Context, filter *cri.ImageFilter) ([]*cri.Image, error) {
	if name := filter.GetImage().GetImage(); name != "" {
		if found := s.find(name); found != nil {
			return []*cri.Image{found}, nil
		}
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*cri.Image
	for _, present := range s.present {
		all = append(all, present)
	}
	return all, nil
}

// PullImage takes the scripted time and ends as scripted. The script is read again while the pull runs, so that a slow
// one can be let through, or broken, at once.
func (s *scriptedImages) PullImage(ctx context.Context, spec *cri.ImageSpec, auth *cri.AuthConfig, sandbox *cri.PodSandboxConfig) (string, error) {
	parsed, err := parseImage(spec.GetImage())
	if err != nil {
		return "", err
	}
	pod, err := s.pods.await(ctx, types.UID(sandbox.GetMetadata().GetUid()))
	if err != nil {
		return "", err
	}
	began, tick := time.Now(), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for {
		script, err := scriptOf(pod, pulledFor(pod, parsed))
		if err != nil {
			return "", err
		}
		if time.Since(began) >= script.PullTime {
			return s.finish(parsed, script, auth)
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-tick.C:
		}
		if newest := s.pods.now(pod.UID); newest != nil {
			pod = newest
		}
	}
}

// finish ends a pull: with an error, or with the image on the node.
func (s *scriptedImages) finish(parsed image, script Script, auth *cri.AuthConfig) (string, error) {
	outcome := script.Pull
	if outcome == "needs-password" {
		if outcome = "unauthorized"; auth.GetPassword() == script.PullPassword && auth != nil {
			outcome = "ok"
		}
	}
	if outcome != "ok" {
		return "", pullError(outcome, parsed, auth.GetUsername(), script.CRIO)
	}
	pulled := &cri.Image{
		Id: parsed.digest(), Size: script.ImageBytes, Spec: &cri.ImageSpec{Image: parsed.digest()},
		RepoDigests: []string{parsed.registry + "/" + parsed.path + "@" + parsed.digest()},
	}
	if !strings.Contains(parsed.tag, ":") {
		pulled.RepoTags = []string{parsed.name}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.present[parsed.name] = pulled
	return pulled.Id, nil
}

// pulledFor returns the container that an image is pulled for. Containers that share an image share its pull, and the
// first of them with a key of its own decides.
func pulledFor(pod *v1.Pod, wanted image) string {
	first := ""
	for _, container := range allContainers(pod) {
		if parsed, err := parseImage(container.Image); err != nil || parsed.name != wanted.name {
			continue
		}
		if first == "" {
			first = container.Name
		}
		if _, own := pod.Annotations[Prefix+"pull."+container.Name]; own {
			return container.Name
		}
	}
	return first
}

// RemoveImage forgets an image, as the kubelet's image garbage collection asks for.
func (s *scriptedImages) RemoveImage(_ context.Context, spec *cri.ImageSpec) error {
	found := s.find(spec.GetImage())
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, present := range s.present {
		if present == found {
			delete(s.present, name)
		}
	}
	return nil
}

// ImageFsInfo says that images live on the node's one file system.
func (s *scriptedImages) ImageFsInfo(context.Context) (*cri.ImageFsInfoResponse, error) {
	usage := &cri.FilesystemUsage{
		Timestamp: time.Now().UnixNano(), FsId: &cri.FilesystemIdentifier{Mountpoint: mountpoint},
		UsedBytes: &cri.UInt64Value{Value: s.hardware.disk().Usage}, InodesUsed: &cri.UInt64Value{Value: inodes / 20},
	}
	return &cri.ImageFsInfoResponse{
		ImageFilesystems: []*cri.FilesystemUsage{usage}, ContainerFilesystems: []*cri.FilesystemUsage{usage},
	}, nil
}

// Close has nothing to close.
func (s *scriptedImages) Close(context.Context) error { return nil }
