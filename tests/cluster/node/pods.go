package node

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// podInformTime bounds how long the runtime waits for its own informer to see a pod that the kubelet has already seen.
const podInformTime = 5 * time.Second

// pods are the pods of this node as the API server has them now, so that an annotation changed on a living pod changes
// its fate. What the kubelet hands over with a sandbox is as old as the sandbox.
type pods struct{ store cache.Indexer }

// watchPods follows the pods of the node until ctx ends.
func watchPods(ctx context.Context, client kubernetes.Interface, node string) *pods {
	list := cache.NewListWatchFromClient(client.CoreV1().RESTClient(), "pods", v1.NamespaceAll,
		fields.OneTermEqualSelector("spec.nodeName", node))
	byUID := func(object any) ([]string, error) { return []string{string(object.(*v1.Pod).UID)}, nil }
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: list, ObjectType: &v1.Pod{}, Handler: cache.ResourceEventHandlerFuncs{},
		Indexers: cache.Indexers{"uid": byUID},
	})
	go controller.RunWithContext(ctx)
	return &pods{store.(cache.Indexer)}
}

// now returns the pod as last seen, or nil for one that is gone or not yet seen.
func (p *pods) now(uid types.UID) *v1.Pod {
	found, err := p.store.ByIndex("uid", string(uid))
	if err != nil || len(found) == 0 {
		return nil
	}
	return found[0].(*v1.Pod)
}

// await returns the pod once it is seen.
func (p *pods) await(ctx context.Context, uid types.UID) (*v1.Pod, error) {
	var pod *v1.Pod
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, podInformTime, true, func(context.Context) (bool, error) {
		pod = p.now(uid)
		return pod != nil, nil
	})
	if err != nil {
		return nil, fmt.Errorf("the scripted runtime has not seen the pod with uid %s for %s", uid, podInformTime)
	}
	return pod, nil
}

// containerNames are the names of all containers of a pod, init containers first.
func containerNames(pod *v1.Pod) []string {
	var names []string
	for _, c := range allContainers(pod) {
		names = append(names, c.Name)
	}
	return names
}

// allContainers are the containers of a pod in the order of their start.
func allContainers(pod *v1.Pod) []v1.Container {
	all := append(append([]v1.Container{}, pod.Spec.InitContainers...), pod.Spec.Containers...)
	for _, c := range pod.Spec.EphemeralContainers {
		all = append(all, v1.Container(c.EphemeralContainerCommon))
	}
	return all
}

// containerOf returns the container of that name, and whether it is one that ends before the next one starts.
func containerOf(pod *v1.Pod, name string) (container v1.Container, init bool) {
	for _, c := range pod.Spec.InitContainers {
		if c.Name == name {
			sidecar := c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways
			return c, !sidecar
		}
	}
	for _, c := range allContainers(pod) {
		if c.Name == name {
			return c, false
		}
	}
	return v1.Container{Name: name}, false
}

// scriptOf reads the script of a container of the pod.
func scriptOf(pod *v1.Pod, container string) (Script, error) {
	if err := CheckAnnotations(pod.Annotations, containerNames(pod)); err != nil {
		return Script{}, err
	}
	_, init := containerOf(pod, container)
	return ReadScript(pod.Annotations, container, init)
}
