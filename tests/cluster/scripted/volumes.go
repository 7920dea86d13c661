package scripted

import (
	"context"
	stderrors "errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/tools/reference"

	"nimble-watch.test/cluster/shapes"
)

const (
	provisioner      = "blockvolume.csi.oraclecloud.com"
	provisionerKey   = "volume.kubernetes.io/storage-provisioner"
	selectedNodeKey  = "volume.kubernetes.io/selected-node"
	provisionedByKey = "pv.kubernetes.io/provisioned-by"
)

// errLimit is what Oracle's driver reports when a tenancy may have no more volumes.
var errLimit = stderrors.New(`rpc error: code = Internal desc = New volume creation failed Error returned by Blockstorage Service. ` +
	`Http Status Code: 400. Error Code: LimitExceeded. Opc request id: 0123456789ABCDEF. Message: The following service limits were exceeded: volume-count. ` +
	`Request a service limit increase from the service limits page in the console. . Operation Name: CreateVolume`)

// volumes provisions block volumes: a folder on this machine stands for each.
type volumes struct {
	client  kubernetes.Interface
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	classes storagelisters.StorageClassLister
	nodes   corelisters.NodeLister
	events  record.EventRecorder
	folder  string
	begun   map[string]time.Time // by claim: since when a volume is being made
	claimed *worker
	freed   *worker
}

func newVolumes(client kubernetes.Interface, factory informers.SharedInformerFactory, events record.EventRecorder, folder string) *volumes {
	v := &volumes{
		client:  client,
		claims:  factory.Core().V1().PersistentVolumeClaims().Lister(),
		volumes: factory.Core().V1().PersistentVolumes().Lister(),
		classes: factory.Storage().V1().StorageClasses().Lister(),
		nodes:   factory.Core().V1().Nodes().Lister(),
		events:  events, folder: filepath.Join(folder, "volumes"), begun: map[string]time.Time{},
	}
	v.claimed = newWorker("claim", v.provision)
	v.claimed.follow(factory.Core().V1().PersistentVolumeClaims().Informer())
	v.freed = newWorker("volume", v.release)
	v.freed.follow(factory.Core().V1().PersistentVolumes().Informer())
	factory.Storage().V1().StorageClasses().Informer()
	factory.Core().V1().Nodes().Informer()
	return v
}

func (v *volumes) run(ctx context.Context) {
	go v.freed.run(ctx)
	v.claimed.run(ctx)
}

// provision makes the volume that a claim waits for, once the scheduler has chosen a node for the first consumer.
func (v *volumes) provision(ctx context.Context, key string) (time.Duration, error) {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return 0, err
	}
	claim, err := v.claims.PersistentVolumeClaims(namespace).Get(name)
	if errors.IsNotFound(err) {
		delete(v.begun, key)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	node := claim.Annotations[selectedNodeKey]
	if claim.Spec.VolumeName != "" || claim.DeletionTimestamp != nil || claim.Annotations[provisionerKey] != provisioner || node == "" {
		delete(v.begun, key)
		return 0, nil
	}
	since, known := v.begun[key]
	if !known {
		since = time.Now()
		v.begun[key] = since
		v.events.Eventf(claim, core.EventTypeNormal, "Provisioning", "External provisioner is provisioning volume for claim %q", key)
	}
	switch claim.Annotations[prefix+"provision"] {
	case "never":
		return 0, nil
	case "limit-exceeded":
		class := className(claim)
		v.events.Eventf(claim, core.EventTypeWarning, "ProvisioningFailed", "failed to provision volume with StorageClass %q: %v", class, errLimit)
		return 0, errLimit
	}
	if rest := time.Until(since.Add(scriptedSeconds(claim.Annotations, "provision-seconds", 300*time.Millisecond))); rest > 0 {
		return rest, nil
	}
	volume, err := v.volumeFor(claim, node)
	if err != nil {
		return 0, err
	}
	if _, err := v.client.CoreV1().PersistentVolumes().Create(ctx, volume, meta.CreateOptions{}); err != nil && !errors.IsAlreadyExists(err) {
		return 0, err
	}
	v.events.Eventf(claim, core.EventTypeNormal, "ProvisioningSucceeded", "Successfully provisioned volume %s", volume.Name)
	return 0, nil
}

func className(claim *core.PersistentVolumeClaim) string {
	if claim.Spec.StorageClassName == nil {
		return ""
	}
	return *claim.Spec.StorageClassName
}

// volumeFor describes the volume: in one availability domain, as block volumes are, so that no other can mount it.
func (v *volumes) volumeFor(claim *core.PersistentVolumeClaim, nodeName string) (*core.PersistentVolume, error) {
	class, err := v.classes.Get(className(claim))
	if err != nil {
		return nil, err
	}
	node, err := v.nodes.Get(nodeName)
	if err != nil {
		return nil, err
	}
	owner, err := reference.GetReference(schemeOf(), claim)
	if err != nil {
		return nil, err
	}
	name := "csi-" + string(claim.UID)
	folder := filepath.Join(v.folder, name)
	// World-writable as a fresh volume with an fsGroup is to the pod; the folder above it is ours alone.
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, err
	}
	if err := os.Chmod(v.folder, 0o711); err != nil {
		return nil, err
	}
	path := core.HostPathDirectory
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: name, Annotations: map[string]string{provisionedByKey: provisioner, "ocid": shapes.OCID("volume", name)}},
		Spec: core.PersistentVolumeSpec{
			Capacity:                      core.ResourceList{core.ResourceStorage: claim.Spec.Resources.Requests[core.ResourceStorage]},
			AccessModes:                   claim.Spec.AccessModes,
			ClaimRef:                      owner,
			PersistentVolumeReclaimPolicy: *class.ReclaimPolicy,
			StorageClassName:              class.Name,
			PersistentVolumeSource:        core.PersistentVolumeSource{HostPath: &core.HostPathVolumeSource{Path: folder, Type: &path}},
			NodeAffinity: &core.VolumeNodeAffinity{Required: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{{
				MatchExpressions: []core.NodeSelectorRequirement{{
					Key: core.LabelTopologyZone, Operator: core.NodeSelectorOpIn, Values: []string{node.Labels[core.LabelTopologyZone]},
				}},
			}}}},
		},
	}, nil
}

// release removes a volume whose claim is gone, as the class says.
func (v *volumes) release(ctx context.Context, name string) (time.Duration, error) {
	volume, err := v.volumes.Get(name)
	if errors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if volume.Annotations[provisionedByKey] != provisioner || volume.Status.Phase != core.VolumeReleased ||
		volume.Spec.PersistentVolumeReclaimPolicy != core.PersistentVolumeReclaimDelete || volume.DeletionTimestamp != nil {
		return 0, nil
	}
	if err := os.RemoveAll(filepath.Join(v.folder, name)); err != nil {
		v.events.Event(volume, core.EventTypeWarning, "VolumeFailedDelete", fmt.Sprintf("rpc error: code = Internal desc = %v", err))
		return 0, err
	}
	return 0, v.client.CoreV1().PersistentVolumes().Delete(ctx, name, meta.DeleteOptions{})
}
