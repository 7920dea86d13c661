package node

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/volume"
)

// unowned are the volume plugins that write a pod's files below the kubelet's folder. Giving those files to the pod's user
// or group takes root, without which every pod with a runAsUser or fsGroup would wait for its volumes for ever; and nobody
// reads them but the scripted runtime. So they stay the kubelet's own, also where it is root.
var unowned = map[string]bool{
	"kubernetes.io/projected": true, "kubernetes.io/empty-dir": true, "kubernetes.io/secret": true,
	"kubernetes.io/configmap": true, "kubernetes.io/downward-api": true,
}

// withoutOwners wraps those plugins. The others keep their type, by which the kubelet tells what they can do.
func withoutOwners(plugins []volume.VolumePlugin) []volume.VolumePlugin {
	wrapped := make([]volume.VolumePlugin, len(plugins))
	for i, plugin := range plugins {
		if wrapped[i] = plugin; unowned[plugin.GetPluginName()] {
			wrapped[i] = unownedPlugin{plugin}
		}
	}
	return wrapped
}

type unownedPlugin struct{ volume.VolumePlugin }

// NewMounter makes a mounter that leaves the files to the kubelet's user.
func (p unownedPlugin) NewMounter(spec *volume.Spec, pod *v1.Pod) (volume.Mounter, error) {
	mounter, err := p.VolumePlugin.NewMounter(spec, pod)
	if err != nil {
		return nil, err
	}
	return unownedMounter{mounter}, nil
}

type unownedMounter struct{ volume.Mounter }

// SetUp writes the files.
func (m unownedMounter) SetUp(args volume.MounterArgs) error {
	args.FsUser, args.FsGroup = nil, nil
	return m.Mounter.SetUp(args)
}

// SetUpAt writes the files to a folder.
func (m unownedMounter) SetUpAt(dir string, args volume.MounterArgs) error {
	args.FsUser, args.FsGroup = nil, nil
	return m.Mounter.SetUpAt(dir, args)
}
