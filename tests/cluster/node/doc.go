// Package node is one node of the embedded cluster: the real kubelet over a container runtime that runs nothing.
//
// The surprising part is what is real. Statuses, probes, back-off, admission, eviction and the wording of events are the
// kubelet's own; so are its TLS server behind `kubectl logs`, `exec` and `port-forward`. Scripted is only what lies below
// the Container Runtime Interface: annotations of the pod (ANNOTATIONS.md) say how a pull ends, when a container exits and
// how long its HTTP server takes to become ready, and the runtime answers in the words of containerd or CRI-O.
//
// No packet leaves the machine. Each pod has an address of its own in 127.0.0.0/8, where stub HTTP servers answer its
// probes; what could make the kubelet dial elsewhere (host network, a probe with a host of its own) is refused (guard.go).
//
// The interface of the runtime is called in process, so what the kubelet's gRPC client does to errors is done here too:
// it strips the code Unknown from pull errors and leaves all others as "rpc error: code = X desc = ...".
package node
