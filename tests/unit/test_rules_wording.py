"""The same troubles in other words: other registries, releases and tools than those of the corpus."""

from __future__ import annotations

import pytest

from nimble_watch.rules import Said, Where, said_by

PULL = 'Failed to pull image "a.io/x:1": rpc error: code = Unknown desc = '
RESOLVE = 'failed to pull and unpack image "a.io/x:1": failed to resolve reference "a.io/x:1": '
AUTHORIZE = "failed to authorize: failed to fetch anonymous token: "
FORBIDDEN = 'Error from server (Forbidden): error when creating "x.yaml": pods "x" is forbidden: '
UNBOUND = "pod has unbound immediate PersistentVolumeClaims"

EVENTS = [
    ("image-not-found", "Failed", PULL + RESOLVE + "a.io/x:1: not found"),
    ("image-not-found", "Failed", PULL + "Error response from daemon: manifest for a.io/x:1 not found"),
    ("image-not-found", "Failed", PULL + "reading manifest 1 in a.io/x: manifest unknown: manifest unknown"),
    ("image-not-found", "Failed", PULL + 'Error response from daemon: manifest tagged by "1" is not found'),
    ("image-auth", "Failed", PULL + 'Error response from daemon: Get "https://a.io/v2/": no basic auth credentials'),
    (
        "image-auth",
        "Failed",
        PULL + RESOLVE + "pull access denied, repository does not exist or may require "
        "authorization: server message: insufficient_scope: authorization failed",
    ),
    ("image-auth", "Failed", PULL + "unable to retrieve auth token: invalid username/password: unauthorized: 401"),
    (
        "pull-secret-missing",
        "FailedToRetrieveImagePullSecret",
        ("Unable to retrieve some image pull secrets (a, b); attempting to pull the image may not succeed."),
    ),
    ("image-pull-slow", "Pulled", 'Successfully pulled image "a.io/x:1" in 6m31.2s (7m2s including waiting).'),
    (
        "gpu-insufficient",
        "FailedScheduling",
        ("0/3 nodes are available: 1 Insufficient cpu, 3 Insufficient nvidia.com/gpu."),
    ),
    ("resources-insufficient", "FailedScheduling", "0/3 nodes are available: 3 Insufficient ephemeral-storage."),
    (
        "taint-untolerated",
        "FailedScheduling",
        ("0/5 nodes are available: 5 node(s) had taints that the pod didn't tolerate."),
    ),
    (
        "taint-untolerated",
        "FailedScheduling",
        (
            "0/5 nodes are available: 1 node(s) had untolerated taint "
            "{node.kubernetes.io/not-ready: }, 4 node(s) had untolerated taint {a: b}."
        ),
    ),
    ("affinity-mismatch", "FailedScheduling", "0/6 nodes are available: 6 node(s) didn't match node selector."),
    (
        "affinity-mismatch",
        "FailedScheduling",
        ("0/6 nodes are available: 1 node(s) had untolerated taint {a: }, 5 node(s) didn't match Pod's node affinity."),
    ),
    ("pvc-unbound", "FailedScheduling", UNBOUND + " (repeated 3 times)"),
    ("pvc-unbound", "FailedScheduling", f'running "VolumeBinding" filter plugin for pod "x": {UNBOUND}'),
    (
        "quota-exceeded",
        "FailedCreate",
        (
            'create Pod web-0 in StatefulSet web failed error: pods "web-0" is forbidden: '
            "exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"
        ),
    ),
    (
        "pod-security",
        "FailedCreate",
        (
            'Error creating: pods "x-" is forbidden: unable to validate against any '
            "security context constraint: [provider restricted]"
        ),
    ),
    ("secret-missing", "Failed", 'Error: configmap "x" not found'),
    ("key-missing", "Failed", "Error: couldn't find key x in ConfigMap a/b"),
    (
        "readiness-failing",
        "Unhealthy",
        (
            'Readiness probe failed: Get "http://10.0.0.1:8000/": context deadline '
            "exceeded (Client.Timeout exceeded while awaiting headers)"
        ),
    ),
    ("startup-probe", "Killing", "Container nim failed startup probe, will be restarted"),
    ("node-not-ready", "NodeNotReady", "Node 10.0.10.5 status is now: NodeNotReady"),
]
PRINTED = [
    ("image-not-found", "Error response from daemon: manifest for a.io/x:2 not found: manifest unknown"),
    ("image-not-found", "Error: initializing source docker://a.io/b:1: reading manifest 1 in a.io/b: name unknown"),
    ("image-auth", 'Error response from daemon: Head "https://a.io/v2/x/manifests/1": denied: denied'),
    (
        "gpu-insufficient",
        (
            "Warning  FailedScheduling  3m (x4)  default-scheduler  0/4 nodes are available: 4 "
            "Insufficient nvidia.com/gpu."
        ),
    ),
    (
        "quota-exceeded",
        (
            'Error from server (Forbidden): persistentvolumeclaims "x" is forbidden: exceeded quota: q, '
            "requested: requests.storage=10Gi, used: requests.storage=0, limited: requests.storage=5Gi"
        ),
    ),
    (
        "pod-security",
        FORBIDDEN + 'violates PodSecurity "baseline:latest": privileged (container "x" must not set '
        "securityContext.privileged=true)",
    ),
    ("crash-loop", "nim-0   0/1   CrashLoopBackOff   5 (10s ago)   5m"),
    ("init-failed", "nim-0   0/1   Init:CrashLoopBackOff   5 (10s ago)   5m"),
    ("init-failed", "nim-0   0/1   Init:Error   0   5m"),
    ("oom-killed", "nim-0   0/1   OOMKilled   2 (10s ago)   5m"),
    ("progress-deadline", 'error: deployment "x" exceeded its progress deadline'),
    ("helm-timeout", "Error: UPGRADE FAILED: pre-upgrade hooks failed: timed out waiting for the condition"),
    (
        "helm-timeout",
        ("Error: release x failed, and has been uninstalled due to atomic being set: context deadline exceeded"),
    ),
    (
        "helm-timeout",
        (
            "Error: INSTALLATION FAILED: failed post-install: 1 error occurred:\n\t* timed out waiting for the "
            "condition\n"
        ),
    ),
    ("api-unreachable", 'Error: Kubernetes cluster unreachable: Get "https://k.test/version": dial tcp: i/o timeout'),
    ("api-unreachable", "Error from server (ServiceUnavailable): the server is currently unable to handle the request"),
    ("api-unreachable", "Error from server: etcdserver: request timed out"),
    ("api-unreachable", "Unable to connect to the server: net/http: request canceled while waiting for connection"),
    ("api-unreachable", 'Error: Get "https://k.test:6443/api/v1/namespaces/nim": dial tcp 1.2.3.4:6443: i/o timeout'),
    (
        "api-auth",
        "error: You must be logged in to the server (the server has asked for the client to)",
    ),
    ("api-auth", "error: Unauthorized"),
    ("api-auth", "Unable to connect to the server: x509: certificate has expired or is not yet valid"),
    ("api-auth", "Unable to connect to the server: getting credentials: exec: executable oci failed with exit code 1"),
    ("api-auth", 'error: no context exists with the name: "oke"'),
    ("api-auth", "  | error: current-context is not set"),
    ("api-auth", 'error: error loading config file "/home/dev/.kube/config": yaml: line 1: did not find expected node'),
    ("api-auth", "Error: invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER"),
    ("command-missing", "/bin/sh: 1: helm: not found"),
    ("command-missing", "zsh: command not found: helm"),
    ("command-missing", "./deploy.sh: line 3: jq: command not found"),
    ("command-missing", "make: helm: Command not found"),
    ("command-missing", "make[1]: helm: No such file or directory"),
    ("command-missing", "env: \u2018python\u2019: No such file or directory"),
    ("command-missing", "timeout: failed to run command 'helm': No such file or directory"),
    ("command-missing", "bash: ./deploy.sh: Permission denied"),
    ("makefile-invalid", "make: *** No rule to make target `instal'.  Stop."),
    ("makefile-invalid", "make: *** No targets specified and no makefile found.  Stop."),
    ("makefile-invalid", "Makefile:7: *** commands commence before first target.  Stop."),
    ("makefile-invalid", "Makefile:2: *** NGC_API_KEY is not set.  Stop."),
    ("namespace-missing", 'Error: INSTALLATION FAILED: create: failed to create: namespaces "nim" not found'),
    (
        "namespace-missing",
        (
            'Error from server (Forbidden): pods "x" is forbidden: unable to create new content in '
            "namespace nim because it is being terminated"
        ),
    ),
    (
        "spec-invalid",
        "error: error parsing nim.yaml: error converting YAML to JSON: yaml: line 2: did",
    ),
    ("spec-invalid", "Error: UPGRADE FAILED: execution error at (nim/templates/x.yaml:1:3): image.tag is required"),
    (
        "spec-invalid",
        (
            'INSTALLATION FAILED: unable to build kubernetes objects from release manifest: error validating "": error '
            'validating data: ValidationError(Deployment.spec): unknown field "x" in io.k8s.api.apps.v1.DeploymentSpec'
        ),
    ),
    (
        "immutable-field",
        (
            'Error: UPGRADE FAILED: cannot patch "nim" with kind StatefulSet: StatefulSet.apps "nim" is invalid: spec: '
            "Forbidden: updates to statefulset spec for fields other than 'replicas', 'template' are forbidden"
        ),
    ),
    ("immutable-field", 'The Deployment "nim" is invalid: spec.selector: Invalid value: {}: field is immutable'),
    (
        "crd-missing",
        'error: unable to recognize "x": no matches for kind "NIMCache" in version "apps.nvidia.com/v1"',
    ),
    ("crd-missing", 'error: the server doesn\'t have a resource type "nimservices"'),
    (
        "helm-name-in-use",
        "Error: INSTALLATION FAILED: name check failed: cannot reuse a name that is still in use",
    ),
    ("helm-not-deployed", 'Error: UPGRADE FAILED: "nim" has no deployed releases'),
    (
        "helm-chart-unavailable",
        "Error: chart \"nim-llm\" matching 1.0 not found in nvidia index. (try 'helm repo update')",
    ),
    ("helm-chart-unavailable", 'Error: failed to download "nvidia/nim": denied: requested access'),
    ("helm-chart-unavailable", "Error: failed to fetch https://helm.ngc.test/nim-1.tgz : 401 Unauthorized"),
    ("helm-chart-unavailable", "Error: found in Chart.yaml, but missing in charts/ directory: common"),
    (
        "object-exists",
        (
            "Error: rendered manifests contain a resource that already exists. Service "
            '"nim" in namespace "n" exists and cannot be imported into the current release: invalid ownership metadata'
        ),
    ),
    ("object-exists", 'error: failed to create secret secrets "ngc" already exists'),
    (
        "oci-api",
        "oci.exceptions.ServiceError: {'status': 429, 'code': 'TooManyRequests', 'message': 'Too many'}",
    ),
    (
        "oci-service-limit",
        "│ Error: 400-LimitExceeded, The following service limits were exceeded: gpu-a10-count.",
    ),
    ("oci-out-of-capacity", "│ Error: 500-InternalError, Out of host capacity."),
    ("command-race", "error: no matching resources found"),
    ("command-timeout", "NIM did not become ready within 300s"),
    ("command-timeout", "curl: (28) Operation timed out after 5001 milliseconds with 0 bytes received"),
    ("phase-failed", "make[1]: *** [Makefile:12: install] Error 2"),
    ("phase-failed", "##[error]Process completed with exit code 1."),
    ("phase-failed", "command terminated with exit code 137"),
]
STATES: list[tuple[str, Where, str, str]] = [
    (
        "image-auth",
        "waiting",
        "ImagePullBackOff",
        'Back-off pulling image "a.io/x:1": ErrImagePull: '
        + RESOLVE
        + AUTHORIZE
        + "unexpected status from GET request to https://a.io/token: 401 Unauthorized",
    ),
    ("secret-missing", "waiting", "CreateContainerConfigError", 'secret "ngc-api" not found'),
    ("key-missing", "waiting", "CreateContainerConfigError", "couldn't find key KEY in Secret nim/ngc-api"),
    ("crash-loop", "waiting", "CrashLoopBackOff", "back-off 5m0s restarting failed container=nim pod=nim-0_nim(1)"),
    ("oom-killed", "terminated", "OOMKilled", ""),
    ("node-not-ready", "condition", "KubeletNotReady", "PLEG is not healthy: pleg was last seen active 3m ago"),
    ("progress-deadline", "condition", "ProgressDeadlineExceeded", 'ReplicaSet "x-1" has timed out progressing.'),
]
NONE: list[tuple[Where, str, str]] = [
    (
        "event",
        "FailedScheduling",
        ("0/3 nodes are available: 3 node(s) had untolerated taint {node.kubernetes.io/not-ready: }."),
    ),
    ("event", "Failed", "Error: ImagePullBackOff"),
    ("event", "BackOff", 'Back-off pulling image "x"'),
    (
        "event",
        "FailedMount",
        ("Unable to attach or mount volumes: unmounted volumes=[v]: timed out waiting for the condition"),
    ),
    ("event", "FailedCreatePodSandBox", "Failed to create pod sandbox: rpc error: context deadline exceeded"),
    ("output", "", 'Error from server (NotFound): secrets "x" not found'),
    ("output", "", 'deployment "nim" successfully rolled out'),
    ("output", "", "nim-0   1/1   Running   3 (5m ago)   10m"),
    ("output", "", "nim-0   0/1   Completed   0   10m"),
    ("output", "", 'fatal: repository "https://git.test/x" not found'),
    ("output", "", 'I1121 15:57:58 7609 cached.go:119] skipped caching discovery info due to Get "https://k/api": EOF'),
    ("output", "", "grep: values.yaml: No such file or directory"),
    ("output", "", "cat: /etc/secret: Permission denied"),
    ("output", "", 'Error response from daemon: Get "https://a.io/v2/": dial tcp: lookup a.io: no such host'),
    ("output", "", 'failed calling webhook "w": Post "https://w.svc:443/v": dial tcp 10.0.0.1:443: connection refused'),
    ("output", "", '{"code": "InvalidApiKey", "detail": "not of OCI"}'),
    ("output", "", "kubectl auth can-i: no"),
    ("output", "", "npm ERR! 404 Not Found - GET https://registry.example.com/x"),
    ("log", "", "ERROR 404: Not Found while downloading model"),
]


@pytest.mark.parametrize(("kind", "reason", "message"), EVENTS)
def test_an_event_is_known_in_other_words(kind: str, reason: str, message: str) -> None:
    assert said_by(Said(message=message, where="event", reason=reason))[:1] == [kind]


@pytest.mark.parametrize(("kind", "line"), PRINTED)
def test_a_printed_line_is_known_in_other_words(kind: str, line: str) -> None:
    assert said_by(Said(message=line, where="output"))[:1] == [kind]


@pytest.mark.parametrize(("kind", "where", "reason", "message"), STATES)
def test_a_state_is_known_in_other_words(kind: str, where: Where, reason: str, message: str) -> None:
    assert said_by(Said(message=message, where=where, reason=reason))[:1] == [kind]


@pytest.mark.parametrize(("where", "reason", "message"), NONE)
def test_what_only_sounds_like_trouble_is_no_kind(where: Where, reason: str, message: str) -> None:
    assert said_by(Said(message=message, where=where, reason=reason)) == []
