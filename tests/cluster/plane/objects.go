package plane

import (
	"context"
	"fmt"
	"strings"
	"time"

	admission "k8s.io/api/admissionregistration/v1"
	core "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/workqueue"

	"nimble-watch.test/cluster/shapes"
)

// install creates what every cluster has before its first pod.
//
// Addresses come first: once annotations are seen to be checked, they are published too.
func install(ctx context.Context, client kubernetes.Interface, block string) error {
	policy, binding := addressPolicy(block)
	if _, err := client.AdmissionregistrationV1().MutatingAdmissionPolicies().Create(ctx, policy, meta.CreateOptions{}); err != nil {
		return fmt.Errorf("the policy that publishes pod addresses: %w", err)
	}
	if _, err := client.AdmissionregistrationV1().MutatingAdmissionPolicyBindings().Create(ctx, binding, meta.CreateOptions{}); err != nil {
		return fmt.Errorf("the policy that publishes pod addresses: %w", err)
	}
	for resource := range forms {
		policy, binding := annotationPolicy(resource)
		if _, err := client.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(ctx, policy, meta.CreateOptions{}); err != nil {
			return fmt.Errorf("the policy for annotations of %s: %w", resource, err)
		}
		if _, err := client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Create(ctx, binding, meta.CreateOptions{}); err != nil {
			return fmt.Errorf("the policy for annotations of %s: %w", resource, err)
		}
	}
	if _, err := client.StorageV1().StorageClasses().Create(ctx, blockVolumes(), meta.CreateOptions{}); err != nil {
		return fmt.Errorf("the storage class: %w", err)
	}
	return nil
}

// addressPolicy publishes 10.244.x.y where a kubelet says 127.A.x.y. The kubelet itself keeps the loopback address, at
// which its probes find the pod; everybody else needs one that EndpointSlices take, and they refuse loopback.
func addressPolicy(block string) (*admission.MutatingAdmissionPolicy, *admission.MutatingAdmissionPolicyBinding) {
	const name = "published-pod-addresses"
	fail := admission.Fail
	published := fmt.Sprintf("%s + object.status.podIP.substring(%d)", quote(podPrefix), len(block)+1)
	policy := &admission.MutatingAdmissionPolicy{
		ObjectMeta: meta.ObjectMeta{Name: name},
		Spec: admission.MutatingAdmissionPolicySpec{
			FailurePolicy:      &fail,
			ReinvocationPolicy: admission.NeverReinvocationPolicy,
			MatchConstraints: &admission.MatchResources{ResourceRules: []admission.NamedRuleWithOperations{{
				RuleWithOperations: admission.RuleWithOperations{
					Operations: []admission.OperationType{admission.Update},
					Rule:       admission.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods/status"}},
				},
			}}},
			MatchConditions: []admission.MatchCondition{{
				Name:       "loopback",
				Expression: fmt.Sprintf("has(object.status.podIP) && object.status.podIP.startsWith(%s)", quote(block+".")),
			}},
			Mutations: []admission.Mutation{{
				PatchType: admission.PatchTypeJSONPatch,
				JSONPatch: &admission.JSONPatch{Expression: fmt.Sprintf(
					"[JSONPatch{op: 'replace', path: '/status/podIP', value: %s}, JSONPatch{op: 'replace', path: '/status/podIPs/0/ip', value: %s}]",
					published, published)},
			}},
		},
	}
	binding := &admission.MutatingAdmissionPolicyBinding{
		ObjectMeta: meta.ObjectMeta{Name: name},
		Spec:       admission.MutatingAdmissionPolicyBindingSpec{PolicyName: name},
	}
	return policy, binding
}

// blockVolumes is the class of OCI's block volumes, as OKE has it, but for its being the default: a claim without a
// class stays unbound here, so that tests see that too.
func blockVolumes() *storage.StorageClass {
	reclaim, mode, grow := core.PersistentVolumeReclaimDelete, storage.VolumeBindingWaitForFirstConsumer, true
	return &storage.StorageClass{
		ObjectMeta:  meta.ObjectMeta{Name: "oci-bv"},
		Provisioner: "blockvolume.csi.oraclecloud.com", ReclaimPolicy: &reclaim, VolumeBindingMode: &mode, AllowVolumeExpansion: &grow,
	}
}

// policiesWork waits until the API server refuses an annotation that does not exist: policies are in force a moment
// after they were created, and until then a test would believe what never happens.
func policiesWork(ctx context.Context, client kubernetes.Interface) error {
	bad := map[string]string{annotationPrefix + "no-such-key": "1"}
	for {
		_, err := client.CoreV1().Services("default").Create(ctx, &core.Service{
			ObjectMeta: meta.ObjectMeta{Name: "policy-probe", Annotations: bad},
			Spec:       core.ServiceSpec{Ports: []core.ServicePort{{Port: 1}}},
		}, meta.CreateOptions{DryRun: []string{meta.DryRunAll}})
		if err != nil && strings.Contains(err.Error(), "no-such-key is unknown") {
			return nil
		}
		if err != nil && !errors.IsForbidden(err) && !errors.IsInvalid(err) && !errors.IsServerTimeout(err) {
			return fmt.Errorf("whether the policies are in force: %w", err)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("the admission policies did not come into force; the API server last said: %v", err)
		}
	}
}

// accountsWork waits for the account that pods get by default, the first sign of life of the controller manager.
func accountsWork(ctx context.Context, client kubernetes.Interface) error {
	for {
		_, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", meta.GetOptions{})
		if err == nil {
			return nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("no default service account: %w", err)
		}
	}
}

// nodesReady waits until every named node is.
func nodesReady(ctx context.Context, client kubernetes.Interface, names []string) error {
	for {
		waiting := map[string]bool{}
		for _, name := range names {
			waiting[name] = true
		}
		list, err := client.CoreV1().Nodes().List(ctx, meta.ListOptions{ResourceVersion: "0"})
		if err == nil {
			for _, node := range list.Items {
				for _, condition := range node.Status.Conditions {
					if condition.Type == core.NodeReady && condition.Status == core.ConditionTrue && !tainted(node) {
						delete(waiting, node.Name)
					}
				}
			}
		}
		if len(waiting) == 0 {
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("%d of %d nodes are not Ready: %w", len(waiting), len(names), err)
		}
	}
}

// tainted says whether the node controller still keeps pods off.
func tainted(node core.Node) bool {
	for _, taint := range node.Spec.Taints {
		if strings.HasPrefix(taint.Key, "node.kubernetes.io/") {
			return true
		}
	}
	return false
}

func pause(ctx context.Context, length time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(length):
		return nil
	}
}

// fakeNodeKey marks the nodes that kwok plays, as an annotation and as a taint: no pod lands there unless it asks to.
const fakeNodeKey = "kwok.x-k8s.io/node"

func fakeNodeName(index int) string { return fmt.Sprintf("10.1.%d.%d", index/250, index%250+1) }

// fakeNodes creates nodes without a kubelet, for pods by the thousand.
func fakeNodes(ctx context.Context, client kubernetes.Interface, count int) error {
	shape, err := shapes.Lookup("cpu")
	if err != nil {
		return err
	}
	failures := make(chan error, count)
	workqueue.ParallelizeUntil(ctx, 16, count, func(index int) {
		name := fakeNodeName(index)
		node := &core.Node{
			ObjectMeta: meta.ObjectMeta{
				Name:        name,
				Labels:      map[string]string{core.LabelHostname: name, core.LabelInstanceTypeStable: shape.Name, "type": "kwok"},
				Annotations: map[string]string{fakeNodeKey: "fake"},
			},
			Spec: core.NodeSpec{
				ProviderID: shapes.OCID("instance", name),
				Taints:     []core.Taint{{Key: fakeNodeKey, Value: "fake", Effect: core.TaintEffectNoSchedule}},
			},
			Status: core.NodeStatus{Capacity: shape.Capacity(), Allocatable: shape.Capacity()},
		}
		if _, err := client.CoreV1().Nodes().Create(ctx, node, meta.CreateOptions{}); err != nil {
			failures <- fmt.Errorf("the fake node %s: %w", name, err)
		}
	})
	select {
	case err := <-failures:
		return err
	default:
		return nil
	}
}
