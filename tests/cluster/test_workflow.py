"""The workflow by hand, as a person runs it with the kubeconfig of `make cluster-up`: real make, helm and kubectl.

Each test has a namespace of its own.  GPUs are few, so every test that takes one gives it back at its end.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import Cluster, until

ROOT = Path(__file__).resolve().parents[2]
NIMBLE_WATCH = ROOT / ".venv" / "bin" / "nimble-watch"
KEY = "nvapi-0123456789abcdef"

pytestmark = pytest.mark.cluster


class Desk:
    """A person's desk: a cluster, a namespace, a session folder, a key."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        self.namespace = namespace
        self.sessions = folder / "sessions"
        self.values = folder / "values.yaml"
        self.values.write_text("podAnnotations: {scripted.nimble-watch.test/pull-seconds: '0.1'}\n")
        self.environment = {
            **os.environ,
            "KUBECONFIG": cluster.kubeconfig,
            "PATH": cluster.path,
            "NIMBLE_WATCH": str(NIMBLE_WATCH),
            "NIMBLE_WATCH_SESSIONS": str(self.sessions),
            "NAMESPACE": namespace,
            "VALUES": str(self.values),
            "NGC_API_KEY": KEY,
        }

    def run(self, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command at this desk; a setting of "" is left out."""
        environment = {name: value for name, value in {**self.environment, **settings}.items() if value}
        return subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    def make(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run make."""
        return self.run("make", *words, **settings)

    def phase(self, name: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a phase's script by itself, where its tracking is not the question."""
        return self.run(f"deploy/phases/{name}.sh", **settings)

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """Return what kubectl says; it must succeed."""
        result = subprocess.run(
            ["kubectl", "--namespace", self.namespace, *words],
            env=self.environment,
            input=stdin or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def objects(self, kinds: str) -> list[str]:
        """Return what there is of these kinds in the namespace, as kind/name."""
        return self.kubectl("get", kinds, "-o", "name").split()

    def session(self) -> dict[str, Any]:
        """Return the newest session as its file has it."""
        session: dict[str, Any] = json.loads((self.sessions / "current.json").read_text())
        return session

    def ended_session(self) -> dict[str, Any]:
        """Return the newest session once it has ended, which a slow observer may do a moment after make."""
        until(lambda: self.session()["state"] == "ended", "the end of the session")
        return self.session()


@pytest.fixture
def desk(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Desk]:
    """Give a desk, and clear it."""
    desk = Desk(cluster, namespace, tmp_path)
    yield desk
    if desk.objects("deployments,pvc,services"):
        result = desk.phase("cleanup", CONFIRM_COST="yes", KEEP_CACHE="")
        assert result.returncode == 0, result.stderr


def good(result: subprocess.CompletedProcess[str]) -> str:
    """Return what a command printed, which must have succeeded."""
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result.stdout


def test_make_all_brings_a_model_up_and_cleanup_takes_it_away(desk: Desk) -> None:
    """The whole way, on the cheapest GPU, to an address outside, without anything being asked."""
    ran = desk.make("all", "GPU_SHAPE=VM.GPU.A10.1", "SERVICE_TYPE=LoadBalancer")
    output = good(ran)
    assert re.search(r"^10\.0\.\d+\.\d+ +VM\.GPU\.A10\.1 +1 +\d +ready +2\.00$", output, re.MULTILINE)
    assert "costs      2.02 USD per hour: 2.00 for a node of VM.GPU.A10.1, 0.0057 for the volume, 0.0123 for" in output
    assert output.count("answer     ") == 2, "once through a forwarded port, once at the load balancer's address"
    assert "verified   nim serves" in output
    assert KEY not in output
    session = desk.ended_session()
    assert list(session["phases"]) == ["discover", "prereqs", "install", "verify"]
    assert {phase["result"] for phase in session["phases"].values()} == {"success"}
    assert session["operation"] == "complete-workflow"
    costs = session["costs"]
    assert (costs["estimated_hourly"], costs["actual_hourly"]) == (2.02, 2.0), "the plan, and the node that was metered"
    assert costs["sources"]["estimated_hourly"].startswith("planned by install: 2.00 for a node of VM.GPU.A10.1")
    assert "per hour: $2.00, planned $2.02" in ran.stderr
    assert "persistentvolumeclaim/nim-cache" in desk.objects("pvc")

    output = good(desk.make("cleanup"))
    assert "deleted    claim nim-cache and its volume (100Gi)" in output
    assert desk.objects("pods,deployments,services,pvc") == []
    volumes = desk.kubectl("get", "pv", "-o", "jsonpath={.items[*].spec.claimRef.namespace}")
    assert desk.namespace not in volumes.split()
    assert KEY not in "".join(path.read_text() for path in desk.sessions.rglob("*") if path.is_file())


def test_phases_typed_one_by_one_share_a_session(desk: Desk) -> None:
    """As in the guide: session-init, then one target after the other."""
    good(desk.make("session-init"))
    good(desk.make("discover"))
    good(desk.make("prereqs", GPU_SHAPE="VM.GPU.A10.1"))
    session = desk.session()
    assert list(session["phases"]) == ["discover", "prereqs"]
    good(desk.make("session-summary"))
    good(desk.make("session-compare"))


def test_the_real_cause_of_a_failed_phase_reaches_the_session(desk: Desk) -> None:
    """Make says 2 for everything; the script said 1."""
    result = desk.make("all", NGC_API_KEY="")
    assert result.returncode == 2
    phases = desk.ended_session()["phases"]
    assert phases["prereqs"]["result"] == "failure"
    assert phases["prereqs"]["exit"] == 2
    assert phases["prereqs"]["cause"] == {"command": ["prereqs.sh"], "exit": 1}
    assert phases["install"]["result"] == "skip"


def test_a_kept_cache_is_named_with_its_cost_and_found_again(desk: Desk) -> None:
    """KEEP_CACHE spares the next download, and says what it costs to be spared."""
    good(desk.phase("prereqs"))
    good(desk.phase("install", GPU_SHAPE="VM.GPU.A10.1"))
    volume = desk.kubectl("get", "pvc", "nim-cache", "-o", "jsonpath={.spec.volumeName}")
    output = good(desk.phase("cleanup", KEEP_CACHE="yes"))
    assert "kept       claim nim-cache (100Gi): 4.25 USD a month" in output
    assert desk.objects("pods,deployments,services,pvc") == ["persistentvolumeclaim/nim-cache"]
    good(desk.phase("install", GPU_SHAPE="VM.GPU.A10.1"))
    assert desk.kubectl("get", "pvc", "nim-cache", "-o", "jsonpath={.spec.volumeName}") == volume


def test_a_changed_release_does_not_wait_for_its_own_gpu(desk: Desk) -> None:
    """The node has one GPU, which the old pod holds: it must go before the new one comes."""
    good(desk.phase("prereqs", GPU_SHAPE="VM.GPU.A10.1"))
    good(desk.phase("install", GPU_SHAPE="VM.GPU.A10.1"))
    with desk.values.open("a") as values:
        values.write('env: [{name: NIM_MAX_MODEL_LEN, value: "4096"}]\n')
    # What its own pod holds counts as free for it.
    assert "ok         1 GPU(s) to be had on VM.GPU.A10.1" in good(desk.phase("prereqs", GPU_SHAPE="VM.GPU.A10.1"))
    good(desk.phase("install", GPU_SHAPE="VM.GPU.A10.1"))
    pods = json.loads(desk.kubectl("get", "pods", "-o", "json"))["items"]
    assert len([pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]) == 1


def test_only_what_belongs_to_the_release_is_cleaned_up(desk: Desk) -> None:
    """A second release and somebody's claim stand in the same namespace."""
    desk.kubectl("create", "configmap", "somebody-elses")
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "somebody-elses"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "oci-bv",
            "resources": {"requests": {"storage": "50Gi"}},
        },
    }
    desk.kubectl("apply", "-f", "-", stdin=json.dumps(claim))
    good(desk.phase("prereqs"))
    good(desk.phase("install", GPU_SHAPE="VM.GPU.A10.1"))
    good(desk.phase("cleanup"))
    assert desk.objects("pvc") == ["persistentvolumeclaim/somebody-elses"]
    assert "configmap/somebody-elses" in desk.objects("configmaps")
    assert sorted(desk.objects("secrets")) == ["secret/ngc-api", "secret/ngc-secret"]


@pytest.mark.parametrize("phase", ["install", "cleanup"])
def test_production_is_not_touched_without_consent(phase: str, desk: Desk) -> None:
    """Where and how much is printed first, then nothing is done."""
    result = desk.phase(phase, ENVIRONMENT="production")
    assert result.returncode == 1
    assert re.search(r"^server     https://127\.0\.0\.1:\d+$", result.stdout, re.MULTILINE)
    assert f"namespace  {desk.namespace}, release nim, environment production" in result.stdout
    assert re.search(r"^costs      .* USD per hour", result.stdout, re.MULTILINE)
    assert f"{phase}: nothing was done, because ENVIRONMENT is production" in result.stderr
    assert f"try: make {phase} CONFIRM_COST=yes" in result.stderr
    assert desk.objects("deployments,pvc") == []


def test_what_is_dear_is_not_begun_without_consent(desk: Desk) -> None:
    """A node of H100s at 80 USD an hour, against a threshold of 5."""
    result = desk.phase("install", GPU_SHAPE="BM.GPU.H100.8")
    assert result.returncode == 1
    assert "costs 80.01 USD per hour, more than COST_THRESHOLD_USD=5" in result.stderr
    assert desk.objects("deployments,pvc") == []


def test_an_unknown_price_is_not_below_the_threshold(desk: Desk) -> None:
    """A shape that does not exist has no price, which is not zero."""
    result = desk.phase("install", GPU_SHAPE="VM.GPU.A10.4")
    assert result.returncode == 1
    assert "what a node of VM.GPU.A10.4 with its volume costs per hour is unknown" in result.stderr


def test_a_broken_off_install_is_named_with_the_way_out(desk: Desk) -> None:
    """Helm would only say that another operation is in progress."""
    desk.kubectl(
        "apply", "-f", "-",
        stdin=json.dumps({
            "apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
            "metadata": {
                "name": "sh.helm.release.v1.nim.v1",
                "labels": {"owner": "helm", "name": "nim", "status": "pending-install", "version": "1"},
            },
            "stringData": {"release": PENDING_RELEASE},
        }),
    )  # fmt: skip
    result = desk.phase("install")
    assert result.returncode == 1
    assert "another install of nim" in result.stderr
    assert "helm rollback nim" in result.stderr


# A release as helm keeps it: JSON in base64.
PENDING_RELEASE = (
    "eyJuYW1lIjoibmltIiwidmVyc2lvbiI6MSwibmFtZXNwYWNlIjoieCIsImluZm8iOnsic3RhdHVzIjoicGVuZGluZy1pbnN0YWxsIn0s"
    "ImNoYXJ0Ijp7Im1ldGFkYXRhIjp7Im5hbWUiOiJuaW0iLCJ2ZXJzaW9uIjoiMC4xLjAiLCJhcGlWZXJzaW9uIjoidjIifX19"
)


# --- what prereqs finds missing


def quota(hard: dict[str, str]) -> str:
    """Return a quota as JSON."""
    return json.dumps(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}, "spec": {"hard": hard}}
    )


def test_a_missing_key_is_named_with_where_to_get_one(desk: Desk) -> None:
    """Neither key nor Secrets are there."""
    result = desk.phase("prereqs", NGC_API_KEY="")
    assert result.returncode == 1
    assert "missing: NGC_API_KEY, and a Secret ngc-secret with the right to pull from nvcr.io" in result.stderr
    assert "https://org.ngc.nvidia.com/setup/api-keys" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("prereqs: nothing was installed, as there is missing: NGC_API_KEY")


def test_a_key_with_a_line_end_in_it_is_refused_and_not_shown(desk: Desk) -> None:
    """As it comes when copied with its surroundings."""
    result = desk.phase("prereqs", NGC_API_KEY=f'"{KEY}"')
    assert result.returncode == 1
    assert "NGC_API_KEY contains a character that no key has" in result.stderr
    assert KEY not in result.stdout + result.stderr


def test_secrets_that_are_there_are_used_as_they_are(desk: Desk) -> None:
    """Somebody else's Secret is never replaced."""
    desk.kubectl("create", "secret", "docker-registry", "ngc-secret", "--docker-server=nvcr.io",
                 "--docker-username=$oauthtoken", "--docker-password=theirs")  # fmt: skip
    desk.kubectl("create", "secret", "generic", "ngc-api", "--from-literal=NGC_API_KEY=theirs")
    before = desk.kubectl("get", "secrets", "-o", "jsonpath={.items[*].metadata.resourceVersion}")
    good(desk.phase("prereqs", NGC_API_KEY=""))
    assert "made by somebody else" in good(desk.phase("prereqs"))
    assert desk.kubectl("get", "secrets", "-o", "jsonpath={.items[*].metadata.resourceVersion}") == before


def test_a_renewed_key_replaces_the_secrets_that_prereqs_made(desk: Desk) -> None:
    """The way out of an expired key, and no copy of it is left in an annotation."""
    good(desk.phase("prereqs", NGC_API_KEY="nvapi-old"))
    good(desk.phase("prereqs", NGC_API_KEY="nvapi-new"))
    secrets = json.loads(desk.kubectl("get", "secrets", "-o", "json"))["items"]
    assert {secret["metadata"]["name"] for secret in secrets} == {"ngc-api", "ngc-secret"}
    assert not [secret for secret in secrets if "annotations" in secret["metadata"]]
    template = '{{index .data ".dockerconfigjson" | base64decode}}'
    pull = desk.kubectl("get", "secret", "ngc-secret", "-o", f"go-template={template}")
    assert json.loads(pull)["auths"]["nvcr.io"]["password"] == "nvapi-new"  # noqa: S105 - of this test


def test_a_secret_of_the_wrong_kind_is_told_apart(desk: Desk) -> None:
    """The name is right, the content is not."""
    desk.kubectl("create", "secret", "generic", "ngc-secret", "--from-literal=password=theirs")
    result = desk.phase("prereqs")
    assert result.returncode == 1
    assert "a Secret ngc-secret of type kubernetes.io/dockerconfigjson" in result.stderr
    assert "is 'Opaque password'" in result.stderr


def test_a_quota_without_room_is_told_in_the_servers_own_words(desk: Desk) -> None:
    """Found before anything is paid for."""
    desk.kubectl("apply", "-f", "-", stdin=quota({"requests.nvidia.com/gpu": "0"}))
    # The quota counts from the moment its controller has seen it.
    desk.kubectl("wait", "resourcequota/team", "--for=jsonpath={.status.hard}", "--timeout=30s")
    result = desk.phase("prereqs")
    assert result.returncode == 1
    assert "exceeded quota: team, requested: requests.nvidia.com/gpu=1" in result.stderr
    assert f"missing: room in the quota of namespace {desk.namespace}" in result.stderr


def test_a_limit_that_forbids_the_pod_is_told_in_the_servers_own_words(desk: Desk) -> None:
    """The container asks for more memory than anyone may."""
    limits = {"limits": [{"type": "Container", "max": {"memory": "8Gi"}}]}
    desk.kubectl(
        "apply", "-f", "-",
        stdin=json.dumps({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}, "spec": limits}),
    )  # fmt: skip
    result = desk.phase("prereqs")
    assert result.returncode == 1
    assert "maximum memory usage per Container is 8Gi, but limit is 64Gi" in result.stderr


def test_the_strictest_pod_security_lets_the_pod_in(desk: Desk) -> None:
    """Nothing in the chart needs a privilege."""
    desk.kubectl("label", "namespace", desk.namespace, "pod-security.kubernetes.io/enforce=restricted")
    output = good(desk.phase("prereqs"))
    assert "the API server would let the pod in" in output


def test_too_few_gpus_are_told_with_who_holds_them(desk: Desk) -> None:
    """Both GPUs of the only node of this shape, while one is taken."""
    holder = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "training"},
        "spec": {
            "nodeSelector": {"node.kubernetes.io/instance-type": "VM.GPU.A10.2"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "containers": [
                {"name": "main", "image": "x.example/x:1", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
            ],
        },
    }
    desk.kubectl("apply", "-f", "-", stdin=json.dumps(holder))
    try:
        desk.kubectl("wait", "pod/training", "--for=condition=PodScheduled", "--timeout=30s")
        result = desk.phase("prereqs", GPU_SHAPE="VM.GPU.A10.2", GPU_COUNT="2")
        assert result.returncode == 1
        assert "missing: 2 free GPU(s) of VM.GPU.A10.2" in result.stderr
        assert f"held by {desk.namespace}/training (1)" in result.stderr
        result = desk.phase("prereqs", GPU_SHAPE="VM.GPU.A10.2", GPU_COUNT="2", GPU_WAIT="yes")
        assert "going on, as GPU_WAIT=yes" in good(result) + result.stderr
    finally:
        desk.kubectl("delete", "pod", "training", "--grace-period=0", "--force", "--wait=true")


def test_missing_rights_are_named_one_by_one(desk: Desk, cluster: Cluster) -> None:
    """Someone who may look, but not touch."""
    weak = cluster.user(f"viewer-of-{desk.namespace}", namespace=desk.namespace)
    desk.kubectl("create", "rolebinding", "viewer", "--clusterrole=view", f"--user=viewer-of-{desk.namespace}")
    result = desk.phase("prereqs", KUBECONFIG=weak)
    assert result.returncode == 1
    assert "missing: the right to create deployments, patch deployments" in result.stderr
    assert "create pods/portforward" in result.stderr
    assert "you have no right to list nodes" in result.stderr
    assert "no right to list nodes" in desk.phase("discover", KUBECONFIG=weak).stderr


# --- kubeconfigs that do not work


def _absent(_: str, folder: Path) -> Path:
    return folder / "absent"


def _changed(old: str, new: str) -> Callable[[str, Path], Path]:
    def change(text: str, folder: Path) -> Path:
        assert re.search(old, text)
        (folder / "changed").write_text(re.sub(old, lambda _: new, text))
        return folder / "changed"

    return change


def _broken(_: str, folder: Path) -> Path:
    (folder / "broken").write_text("apiVersion: [v1\n")
    return folder / "broken"


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (_absent, "the kubeconfig {path} does not exist"),
        (
            _changed(r"(?s)\A.+", "apiVersion: v1\nkind: Config\n"),
            "there is no kubeconfig with a current context; looked at {path}",
        ),
        (_broken, "the kubeconfig {path} is broken"),
        (_changed(r"current-context: .*", "current-context: elsewhere"), "names a context that it does not hold"),
        (
            _changed(r"https://127\.0\.0\.1:\d+", "https://127.0.0.1:9"),
            "the API server at https://127.0.0.1:9 cannot be reached",
        ),
    ],
)
def test_a_kubeconfig_that_does_not_work_is_explained(
    spoil: Callable[[str, Path], Path], complaint: str, desk: Desk, tmp_path: Path, cluster: Cluster
) -> None:
    """In one sentence, with what to try, after kubectl's own words."""
    path = spoil(Path(cluster.kubeconfig).read_text(), tmp_path)
    result = desk.phase("discover", KUBECONFIG=str(path))
    assert result.returncode == 1
    assert complaint.format(path=path) in result.stderr
    assert "  | " in result.stderr
    assert "  try: " in result.stderr


def test_an_expired_token_is_told_apart_from_a_broken_cluster(desk: Desk, tmp_path: Path, cluster: Cluster) -> None:
    """The server answers, and does not know the caller."""
    weak = tmp_path / "expired"
    weak.write_text(Path(cluster.kubeconfig).read_text())
    for words in (("config", "set-credentials", "late", "--token=expired"),
                  ("config", "set-context", "--current", "--user=late")):  # fmt: skip
        good(desk.run("kubectl", *words, KUBECONFIG=str(weak)))
    result = desk.phase("discover", KUBECONFIG=str(weak))
    assert result.returncode == 1
    assert "does not accept the credentials of context" in result.stderr
    assert "oci session refresh" in result.stderr


def test_a_release_that_is_not_there_is_not_verified(desk: Desk) -> None:
    """And nothing is left running by the attempt."""
    result = desk.phase("verify")
    assert result.returncode == 1
    assert f"there is no release nim in namespace {desk.namespace} to verify" in result.stderr


def test_cleaning_up_a_namespace_that_does_not_exist_is_no_failure(desk: Desk) -> None:
    """A clean-up that always runs must not fail for what was never made."""
    assert "does not exist, so there is nothing to clean up" in good(desk.phase("cleanup", NAMESPACE="never-made"))
