package node

import (
	"fmt"
	"net"

	v1 "k8s.io/api/core/v1"
)

// leaves says why a pod would make the kubelet dial an address that is not its own: the address of a node or a host named
// in a probe belongs to a stranger on whatever network this machine is in.
func leaves(pod *v1.Pod) error {
	for _, container := range allContainers(pod) {
		for what, handler := range dialers(container) {
			host := ""
			switch {
			case handler.HTTPGet != nil:
				host = handler.HTTPGet.Host
			case handler.TCPSocket != nil:
				host = handler.TCPSocket.Host
			case handler.GRPC == nil:
				continue
			}
			if host == "" && pod.Spec.HostNetwork {
				return fmt.Errorf("%s of container %s would dial the node's address: pods on the host network have no address of their own in this cluster", what, container.Name)
			}
			if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsLoopback()) {
				return fmt.Errorf("%s of container %s would dial %s, which is outside this cluster", what, container.Name, host)
			}
		}
	}
	return nil
}

// dialers are the probes and hooks of a container, by name.
func dialers(container v1.Container) map[string]v1.ProbeHandler {
	handlers := map[string]v1.ProbeHandler{}
	for what, probe := range map[string]*v1.Probe{
		"livenessProbe": container.LivenessProbe, "readinessProbe": container.ReadinessProbe, "startupProbe": container.StartupProbe,
	} {
		if probe != nil {
			handlers[what] = probe.ProbeHandler
		}
	}
	if hooks := container.Lifecycle; hooks != nil {
		for what, hook := range map[string]*v1.LifecycleHandler{"postStart hook": hooks.PostStart, "preStop hook": hooks.PreStop} {
			if hook != nil {
				handlers[what] = v1.ProbeHandler{Exec: hook.Exec, HTTPGet: hook.HTTPGet, TCPSocket: hook.TCPSocket}
			}
		}
	}
	return handlers
}
