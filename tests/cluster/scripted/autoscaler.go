package scripted

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/yaml"

	"nimble-watch.test/cluster/plane"
	"nimble-watch.test/cluster/shapes"
)

const (
	autoscalerNamespace = "kube-system"
	autoscalerConfig    = "scripted-autoscaler"
	poolLabel           = "oke.oraclecloud.com/pool.name"
	// How often the real autoscaler looks is ten seconds; tests wait for its word, so this one looks every second and
	// repeats a refusal as often as the real one does.
	scanEvery   = time.Second
	repeatAfter = 10 * time.Second
)

// pool is a node pool that may grow, as a test describes it.
type pool struct {
	Name         string  `json:"name"`
	Shape        string  `json:"shape"`
	Max          int     `json:"max"`
	DelaySeconds float64 `json:"delaySeconds"`
	// Outcome is node (one comes after the delay), never (ordered, does not come) or max-reached.
	Outcome string `json:"outcome"`
}

// autoscaler orders nodes for pods that fit nowhere. Without its ConfigMap there is none.
type autoscaler struct {
	configs corelisters.ConfigMapLister
	pods    corelisters.PodLister
	nodes   corelisters.NodeLister
	events  record.EventRecorder
	folder  string

	refused map[types.UID]time.Time
	ordered map[types.UID]string // pool by pod: one node is ordered for each
	mutex   sync.Mutex
	coming  map[string]int // nodes ordered and not there yet, by pool
}

func newAutoscaler(_ kubernetes.Interface, factory informers.SharedInformerFactory, events record.EventRecorder, folder string) *autoscaler {
	a := &autoscaler{
		configs: factory.Core().V1().ConfigMaps().Lister(),
		pods:    factory.Core().V1().Pods().Lister(),
		nodes:   factory.Core().V1().Nodes().Lister(),
		events:  events, folder: folder,
		refused: map[types.UID]time.Time{}, ordered: map[types.UID]string{}, coming: map[string]int{},
	}
	factory.Core().V1().ConfigMaps().Informer()
	factory.Core().V1().Pods().Informer()
	factory.Core().V1().Nodes().Informer()
	return a
}

func (a *autoscaler) run(ctx context.Context) {
	ticker := time.NewTicker(scanEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			a.scan(ctx)
		}
	}
}

func (a *autoscaler) scan(ctx context.Context) {
	config, err := a.configs.ConfigMaps(autoscalerNamespace).Get(autoscalerConfig)
	if err != nil {
		return // no autoscaler in this cluster
	}
	var pools []pool
	if err := yaml.UnmarshalStrict([]byte(config.Data["pools"]), &pools); err != nil {
		a.events.Eventf(config, core.EventTypeWarning, "Invalid", "key pools: %v", err)
		return
	}
	pods, err := a.pods.List(labels.Everything())
	if err != nil {
		return
	}
	pending := map[types.UID]bool{}
	for _, pod := range pods {
		if unschedulable(pod) {
			pending[pod.UID] = true
			a.help(ctx, pod, pools)
		}
	}
	for uid := range a.ordered {
		if !pending[uid] {
			delete(a.ordered, uid)
		}
	}
	for uid := range a.refused {
		if !pending[uid] {
			delete(a.refused, uid)
		}
	}
}

func unschedulable(pod *core.Pod) bool {
	if pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil {
		return false
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == core.PodScheduled && condition.Status == core.ConditionFalse && condition.Reason == core.PodReasonUnschedulable {
			return true
		}
	}
	return false
}

// help orders a node for one pod, or says why it does not.
func (a *autoscaler) help(ctx context.Context, pod *core.Pod, pools []pool) {
	if _, done := a.ordered[pod.UID]; done {
		return
	}
	reasons := map[string]int{}
	for _, p := range pools {
		size := a.size(p.Name)
		if why := mismatch(pod, p); why != "" {
			reasons[why]++
			continue
		}
		if p.Outcome == "max-reached" || size >= p.Max {
			reasons["max node group size reached"]++
			continue
		}
		a.ordered[pod.UID] = p.Name
		a.expect(p.Name, 1)
		a.events.Eventf(pod, core.EventTypeNormal, "TriggeredScaleUp", "pod triggered scale-up: [{%s %d->%d (max: %d)}]",
			shapes.OCID("nodepool", p.Name), size, size+1, p.Max)
		if p.Outcome != "never" {
			go a.deliver(ctx, p)
		}
		return
	}
	if last, said := a.refused[pod.UID]; said && time.Since(last) < repeatAfter {
		return
	}
	a.refused[pod.UID] = time.Now()
	a.events.Eventf(pod, core.EventTypeNormal, "NotTriggerScaleUp", "pod didn't trigger scale-up: %s", list(reasons))
}

func list(reasons map[string]int) string {
	words := make([]string, 0, len(reasons))
	for reason, count := range reasons {
		words = append(words, fmt.Sprintf("%d %s", count, reason))
	}
	sort.Strings(words)
	return strings.Join(words, ", ")
}

// mismatch says why a new node of the pool would not take the pod.
func mismatch(pod *core.Pod, p pool) string {
	shape, err := shapes.Lookup(p.Shape)
	if err != nil {
		return err.Error()
	}
	node := shapes.Node{Name: shapes.NodeName(shapes.LastIndex), Shape: shape, Pool: p.Name}
	if !labels.SelectorFromSet(pod.Spec.NodeSelector).Matches(labels.Set(node.Labels())) {
		return "node(s) didn't match Pod's node affinity/selector"
	}
	for _, taint := range shape.Taints() {
		tolerated := false
		for _, toleration := range pod.Spec.Tolerations {
			same := toleration.Key == "" || toleration.Key == taint.Key
			tolerated = tolerated || same && (toleration.Operator == core.TolerationOpExists || toleration.Value == taint.Value)
		}
		if !tolerated {
			return "node(s) had untolerated taint(s)"
		}
	}
	capacity := shape.Capacity()
	for _, name := range []core.ResourceName{shapes.GPU, core.ResourceCPU, core.ResourceMemory} {
		wanted := capacity[name].DeepCopy()
		wanted.Sub(wanted)
		for _, container := range pod.Spec.Containers {
			wanted.Add(container.Resources.Requests[name])
		}
		if wanted.Cmp(capacity[name]) > 0 {
			return "Insufficient " + string(name)
		}
	}
	return ""
}

func (a *autoscaler) size(pool string) int {
	nodes, err := a.nodes.List(labels.SelectorFromSet(labels.Set{poolLabel: pool}))
	if err != nil {
		return 0
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return len(nodes) + a.coming[pool]
}

func (a *autoscaler) expect(pool string, change int) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.coming[pool] += change
}

// deliver brings the node after the delay.
func (a *autoscaler) deliver(ctx context.Context, p pool) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(time.Duration(p.DelaySeconds * float64(time.Second))):
	}
	if _, err := plane.AddNode(a.folder, p.Shape, p.Name); err != nil {
		fmt.Fprintf(os.Stderr, "scripted: a node for pool %s: %v\n", p.Name, err)
	}
	a.expect(p.Name, -1)
}
