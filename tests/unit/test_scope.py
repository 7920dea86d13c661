"""Which objects a phase is responsible for, on streams made for the purpose."""

from __future__ import annotations

import shlex

import pytest

from nimble_watch.objects import Ref, ref
from nimble_watch.scope import Level, Named, Reader, Release, Scope, Selected, Working, from_argv
from nimble_watch.signals import Signal
from nimble_watch.state import ClusterState
from tests.unit.made import T0, begin, made, said, seen, workload

YESTERDAY = T0 - 86_400


def scope_of(*signals: Signal) -> tuple[Scope, set[Ref]]:
    """Give the scope after these signals, and everything that came into it."""
    state = ClusterState()
    scope = Scope(state)
    entered: set[Ref] = set()
    for signal in signals:
        state.apply(signal)
        entered.update(scope.apply(signal))
    return scope, entered


def level(scope: Scope, reference: Ref) -> tuple[Level, bool]:
    """Give how an object belongs, and whether surely."""
    found = scope.of(reference)
    return found.level, found.sure


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("kubectl -n nim rollout status deployment/nim --timeout=60s", [
            Working("nim"), Named("Deployment", "nim", "nim")]),
        ("kubectl apply -f nim.yaml -nnim", [Working("nim")]),
        ("kubectl wait pod nim-0 nim-1 --for=condition=Ready", [
            Working(), Named("Pod", "nim-0"), Named("Pod", "nim-1")]),
        ("kubectl wait pod -l app=nim,tier=gpu -n nim --for condition=Ready", [
            Working("nim"), Selected((("app", "nim"), ("tier", "gpu")), "Pod", "nim")]),
        ("kubectl delete pods --all --namespace=nim", [Working("nim"), Selected((), "Pod", "nim")]),
        ("kubectl get pods -l 'app in (a, b)'", [Working()]),
        ("kubectl get pods -A", []),
        ("kubectl logs -f nim-0 -c nim", [Working(), Named("Pod", "nim-0")]),
        ("kubectl port-forward svc/nim 8000:8000", [Working(), Named("Service", "nim")]),
        ("kubectl exec -it nim-0 -- kubectl delete pod other", [Working(), Named("Pod", "nim-0")]),
        ("kubectl config set-context --current --namespace=nim", []),
        ("kubectl get deployment.apps/nim", [Working(), Named("Deployment", "nim")]),
        ("helm upgrade --install nim ./chart -n nim --set a=b --wait", [Working("nim"), Release("nim", "nim")]),
        ("helm install ./chart --generate-name", [Working()]),
        ("helm uninstall one two", [Working(), Release("one"), Release("two")]),
        ("helm repo add nvidia https://helm.ngc.nvidia.com", []),
        ("sh -c 'kubectl apply -f a.yaml && timeout 60 kubectl -n x wait pod/p --for=condition=Ready'", [
            Working(), Working("x"), Named("Pod", "p", "x")]),
        ("bash -euo pipefail -c 'helm upgrade nim ./c --namespace nim'", [Working("nim"), Release("nim", "nim")]),
        ("env FOO=1 kubectl delete deploy nim", [Working(), Named("Deployment", "nim")]),
        ("sh -c 'kubectl -n \"$NS\" rollout status deployment/nim'", []),
        ("make install", []),
        ("kubectl apply -n nim -f nim.yaml --dry-run=server", []),
        ("kubectl delete pod nim-0 --dry-run=client -o yaml", []),
        ("kubectl delete pod nim-0 --dry-run=none", [Working(), Named("Pod", "nim-0")]),
        ("helm upgrade --install nim ./c -n nim --dry-run", []),
        ("helm template nim ./c -n nim", []),
        ("helm upgrade nim ./c -n nim --server-side auto --wait=watcher", [Working("nim"), Release("nim", "nim")]),
        ("kubectl create service clusterip nim --tcp=80:80", [Working(), Named("Service", "nim")]),
        ("kubectl set image deployment/nim nim=nvcr.io/nim/x:2 -n nim", [
            Working("nim"), Named("Deployment", "nim", "nim")]),
        ("kubectl patch deployment nim -p '{}' -n nim", [Working("nim"), Named("Deployment", "nim", "nim")]),
        ("kubectl scale deploy nim --replicas=2 --current-replicas 1", [Working(), Named("Deployment", "nim")]),
        ("helm rollback nim 1 --wait", [Working(), Release("nim")]),
        ("helm test nim --timeout 30s", [Working(), Release("nim")]),
        ("grep -r kubectl", []),
    ],
)  # fmt: skip
def test_a_command_says_what_it_works_on(command: str, told: list[object]) -> None:
    assert list(from_argv(shlex.split(command))) == told


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["deployment.apps/nim created"], [Named("Deployment", "nim")]),
        (["deployment.apps/nim unchanged (server dry run)"], []),
        (["deployment.apps/nim created (dry run)"], []),
        (['deployment.apps "nim" deleted from prod namespace'], [Named("Deployment", "nim", "prod")]),
        (['deployment.apps "nim" deleted from prod namespace (server dry run)'], []),
        (['daemon set "nim" successfully rolled out'], [Named("DaemonSet", "nim")]),
        (["statefulset.apps/s image updated"], [Named("StatefulSet", "s")]),
        (["deployment.apps/nim"], []),
        (["persistentvolumeclaim/cache configured"], [Named("PersistentVolumeClaim", "cache")]),
        (["pod/nim-0 condition met"], [Named("Pod", "nim-0")]),
        (['deployment "nim" successfully rolled out'], [Named("Deployment", "nim")]),
        (['Waiting for deployment "nim" rollout to finish: 0 of 1'], [Named("Deployment", "nim")]),
        (["error: timed out waiting for the condition on pods/nim-0"], [Named("Pod", "nim-0")]),
        (["NAME: nim", "LAST DEPLOYED: Mon", "NAMESPACE: prod", "STATUS: deployed"], [
            Release("nim", "prod"), Working("prod")]),
        (["NAME: nim", "LAST DEPLOYED: Mon", "NAMESPACE: prod", "STATUS: failed"], [
            Release("nim", "prod"), Working("prod")]),
        (['Release "nim" has been upgraded. Happy Helming!', "NAME: nim", "NAMESPACE: prod", "STATUS: pending-upgrade",
          "DESCRIPTION: Dry run complete"], []),
        (['{"name":"nim","info":{"first_deployed":"2026","status":"deployed"},"version":1,"namespace":"prod"}'], [
            Release("nim", "prod")]),
        (['{"name":"nim","info":{"first_deployed":"2026","status":"deployed"},"chart":"' + "x" * 9000], [
            Release("nim")]),
        (['{"name":"nim","info":{"first_deployed":"2026","status":"pending-install"},"namespace":"prod"}'], []),
        (['release "nim" uninstalled'], [Release("nim")]),
        (["wait.go:48: [debug] Deployment is not ready: prod/nim. 0 out of 1 expected pods are ready"], [
            Named("Deployment", "nim", "prod")]),
        (['level=DEBUG msg="waiting for resource" namespace=prod name=nim kind=Deployment expectedStatus=Current'], [
            Named("Deployment", "nim", "prod")]),
        (["kubectl -n nim rollout status deployment/nim \\", "    --timeout=5s; \\", "echo done"], [
            Working("nim"), Named("Deployment", "nim", "nim")]),
        (["set -e; \\", "for name in nim; do \\", "  kubectl -n nim wait pod/nim-0 --for=delete; \\", "done"], [
            Working("nim"), Named("Pod", "nim-0", "nim")]),
        (["for name in a; do kubectl -n nim wait pod/nim-0 --for=delete; done"], [
            Working("nim"), Named("Pod", "nim-0", "nim")]),
        (["KUBECONFIG=/c helm uninstall nim -n nim"], [Working("nim"), Release("nim", "nim")]),
        (["cd deploy && kubectl apply -n nim -f ."], [Working("nim")]),
        (["++ kubectl -n nim get pods -l app=nim"], [Working("nim"), Selected((("app", "nim"),), "Pod", "nim")]),
        (["+ echo kubectl delete pod nim-0"], []),
        (["cd x && echo now kubectl delete pod nim-0"], []),
        (['Release "nim" does not exist. Installing it now.'], [Release("nim")]),
        (["resource Deployment/prod/nim not ready. status: InProgress"], [Named("Deployment", "nim", "prod")]),
        (["helm upgrade --install nim ./chart -n nim"], [Working("nim"), Release("nim", "nim")]),
        (["+ kubectl apply -n nim -f x.yaml"], [Working("nim")]),
        (["secret/ngc created"], []),
        (["we use kubectl delete pod x only in emergencies"], []),
        (["I created pod/nim-0 today"], []),
    ],
)  # fmt: skip
def test_a_printed_line_says_what_it_is_about(lines: list[str], told: list[object]) -> None:
    reader = Reader()
    assert [piece for line in lines for piece in reader.line(line)] == told


@pytest.mark.parametrize("flag", ["-n", "-kn", "--dry-run", "--just-print"])
def test_what_a_make_only_tells_it_would_do_names_nothing(flag: str) -> None:
    line = "kubectl -n nim delete pod nim-0"
    assert list(Reader(["make", flag, "install"]).line(line)) == []
    assert list(Reader(["make", "-j2", "-C", "nim", "install"]).line(line)) == [
        Working("nim"), Named("Pod", "nim-0", "nim")]  # fmt: skip


def test_a_release_that_the_phase_named_is_its_own_down_to_the_pod() -> None:
    signals, pod = workload("nim", release="nim")
    scope, entered = scope_of(*begin("helm", "install", "nim", "./c", "-n", "nim"), *signals)
    assert level(scope, pod) == (Level.REACHED, True)
    assert level(scope, Ref("Deployment", "nim", "nim", "Deployment/nim/nim")) == (Level.NAMED, True)
    assert pod in entered


def test_a_release_that_is_named_only_later_brings_in_what_was_there_before() -> None:
    signals, pod = workload("nim", at=YESTERDAY, release="nim")
    scope, entered = scope_of(*begin("make", "install"), *signals, said("helm upgrade nim ./c -n nim"))
    assert level(scope, pod) == (Level.REACHED, True)
    assert pod in entered


def test_a_release_broken_since_yesterday_is_only_nearby() -> None:
    ours, pod = workload("nim", release="nim")
    old, broken = workload("old", at=YESTERDAY, release="old")
    scope, entered = scope_of(*begin("helm", "install", "nim", "./c", "-n", "nim"), *old, *ours)
    assert level(scope, pod) == (Level.REACHED, True)
    assert level(scope, broken) == (Level.NEARBY, False)
    assert broken not in entered


@pytest.mark.parametrize("release", ["theirs", ""])
def test_what_a_colleague_breaks_meanwhile_in_another_namespace_is_elsewhere(release: str) -> None:
    ours, _ = workload("nim", release="nim")
    theirs, pod = workload("app", namespace="team-x", release=release)
    scope, _ = scope_of(*begin("helm", "install", "nim", "./c", "-n", "nim"), *ours, *theirs)
    assert level(scope, pod) == (Level.ELSEWHERE, False)


def test_what_a_colleague_releases_meanwhile_in_the_same_namespace_is_only_nearby() -> None:
    ours, _ = workload("nim", release="nim")
    theirs, pod = workload("app", release="theirs")
    scope, _ = scope_of(*begin("helm", "install", "nim", "./c", "-n", "nim"), *ours, *theirs)
    assert level(scope, pod) == (Level.NEARBY, False)


def test_what_a_colleague_applies_meanwhile_in_the_same_namespace_is_only_nearby_once_the_phase_told() -> None:
    ours, _ = workload("nim", release="nim")
    theirs, pod = workload("app", labels={"app": "theirs"})
    scope, _ = scope_of(*begin("helm", "install", "nim", "./c", "-n", "nim"), *ours, *theirs)
    assert level(scope, pod) == (Level.NEARBY, False)


def test_a_colleague_with_the_same_names_in_another_namespace_stays_elsewhere() -> None:
    ours, pod = workload("nim", namespace="mine")
    theirs, other = workload("nim", namespace="yours", at=YESTERDAY)
    signals = [*begin("kubectl", "apply", "-n", "mine", "-f", "x"), *theirs, *ours, said("deployment.apps/nim created")]
    scope, _ = scope_of(*signals)
    assert level(scope, pod) == (Level.REACHED, True)
    assert level(scope, other) == (Level.ELSEWHERE, False)


def test_kubectl_that_prints_nothing_we_see_is_believed_by_what_it_touched() -> None:
    ours, pod = workload("nim", namespace="default")
    scope, _ = scope_of(*begin("kubectl", "apply", "-f", "nim.yaml"), *ours)
    assert level(scope, pod) == (Level.REACHED, True)


def test_touched_alone_is_doubted_while_others_deploy_there() -> None:
    ours, pod = workload("nim", namespace="default", labels={"app": "nim"})
    theirs, other = workload("app", namespace="default", labels={"app": "other"})
    scope, _ = scope_of(*begin("kubectl", "apply", "-f", "nim.yaml"), *ours, *theirs)
    assert level(scope, pod) == (Level.REACHED, False)
    assert level(scope, other) == (Level.REACHED, False)


def test_a_phase_that_never_spoke_of_a_cluster_is_responsible_for_nothing_surely() -> None:
    theirs, pod = workload("app", namespace="team-x")
    scope, _ = scope_of(*begin("sleep", "60"), *theirs)
    assert level(scope, pod)[1] is False


def test_what_argo_touches_is_never_surely_ours() -> None:
    deployment = made("Deployment", "nim", namespace="default", manager="argocd-controller")
    scope, _ = scope_of(*begin("kubectl", "apply", "-f", "app.yaml"), seen("Deployment", deployment))
    assert level(scope, ref("Deployment", deployment)) == (Level.TOUCHED, False)


def test_what_a_controller_changes_is_not_touched() -> None:
    old = made("Deployment", "nim", at=YESTERDAY, namespace="default")
    scaled = made("Deployment", "nim", namespace="default", manager="kube-controller-manager")
    scope, _ = scope_of(
        *begin("kubectl", "apply", "-f", "app.yaml"), seen("Deployment", old), seen("Deployment", scaled)
    )
    assert level(scope, ref("Deployment", old)) == (Level.NEARBY, False)


def test_an_object_that_was_made_in_the_second_in_which_the_phase_began_is_unclear() -> None:
    deployment = made("Deployment", "nim", at=T0, namespace="default")
    begun = [*begin("kubectl", "apply", "-f", "app.yaml", at=T0 + 0.7)]
    scope, _ = scope_of(*begun, seen("Deployment", deployment, listed=True))
    assert level(scope, ref("Deployment", deployment)) == (Level.TOUCHED, False)


def test_names_and_labels_reach_claims_nodes_and_services_of_our_pods_only() -> None:
    deployment = made("Deployment", "nim")
    volumes = [{"name": "cache", "persistentVolumeClaim": {"claimName": "cache"}}]
    spec = {"nodeName": "10.0.10.2", "volumes": volumes}
    pod = made("Pod", "nim-0", owner=ref("Deployment", deployment), labels={"app": "nim"}, spec=spec)
    claim = made("PersistentVolumeClaim", "cache", at=YESTERDAY)
    node, idle = made("Node", "10.0.10.2", at=YESTERDAY), made("Node", "10.0.10.3", at=YESTERDAY)
    service = made("Service", "nim", at=YESTERDAY, spec={"selector": {"app": "nim"}})
    other = made("Service", "other", at=YESTERDAY, spec={"selector": {"app": "other"}})
    things = [
        ("Node", node),
        ("Node", idle),
        ("PersistentVolumeClaim", claim),
        ("Deployment", deployment),
        ("Pod", pod),
    ]
    signals = [seen(kind, thing) for kind, thing in [*things, ("Service", service), ("Service", other)]]
    scope, entered = scope_of(*begin("kubectl", "-n", "nim", "rollout", "status", "deploy/nim"), *signals)
    reached = {kind for kind, thing in things if level(scope, ref(kind, thing)) == (Level.REACHED, True)}
    assert reached == {"Node", "PersistentVolumeClaim", "Pod"}
    assert level(scope, ref("Node", idle)) == (Level.ELSEWHERE, False)
    assert level(scope, ref("Service", service)) == (Level.REACHED, True)
    assert level(scope, ref("Service", other)) == (Level.NEARBY, False)
    assert {ref("PersistentVolumeClaim", claim), ref("Node", node)} <= entered


def test_a_pod_that_is_seen_before_its_owners_comes_in_when_they_do() -> None:
    (deployment, replicas, pod), reference = workload("nim", release="nim")
    begun = [*begin("helm", "install", "nim", "./c", "-n", "nim")]
    scope, entered = scope_of(*begun, pod, replicas, deployment)
    assert level(scope, reference) == (Level.REACHED, True)
    assert reference in entered


def test_helm_hooks_belong_to_their_release_by_label() -> None:
    labels = {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "nim"}
    hook = made("Job", "nim-check", labels=labels)
    scope, _ = scope_of(*begin("helm", "install", "nim", "./c", "-n", "nim"), seen("Job", hook))
    assert level(scope, ref("Job", hook)) == (Level.NAMED, True)


def test_scope_stays_when_the_next_phase_names_something_else() -> None:
    ours, pod = workload("nim", release="nim")
    later = list(begin("kubectl", "get", "nodes", at=T0 + 60))[1:]
    scope, _ = scope_of(*begin("helm", "install", "nim", "./c", "-n", "nim"), *ours, *later)
    assert level(scope, pod) == (Level.REACHED, True)


def test_what_was_only_touched_goes_out_again_once_the_phase_tells_what_it_works_on() -> None:
    theirs, pod = workload("app", manager="colleague", labels={"app": "theirs"})
    scope, entered = scope_of(*begin("kubectl", "apply", "-n", "nim", "-f", "nim.yaml"), *theirs)
    assert pod in entered
    assert level(scope, pod)[0] is Level.REACHED
    left = scope.apply(said("deployment.apps/nim created"))
    assert pod in left
    assert level(scope, pod) == (Level.NEARBY, False)


def test_whoever_changed_what_the_phase_named_may_have_changed_more_for_it_in_that_namespace() -> None:
    ours, _ = workload("nim", labels={"app": "nim"})
    more, pod = workload("redis", labels={"app": "redis"})
    there, elsewhere = workload("redis", namespace="other", labels={"app": "redis"})
    scope, _ = scope_of(*begin("kubectl", "rollout", "status", "-n", "nim", "deployment/nim"), *ours, *more, *there)
    assert level(scope, pod) == (Level.REACHED, False)
    assert level(scope, elsewhere) == (Level.ELSEWHERE, False)
