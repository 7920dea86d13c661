"""What a phase prints, judged by how it went on: an obstacle only if it explains the end, or is repeated until now."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from nimble_watch.findings import Verdict
from nimble_watch.objects import Ref
from nimble_watch.observer.replay import replay
from nimble_watch.obstacles import Change, Obstacle
from nimble_watch.rules import all_rules
from nimble_watch.signals import Clock, ClusterFound, Command, Output, PhaseEnded, PhaseStarted, Signal
from tests.unit.judging import World, container, pending
from tests.unit.made import T0, ended, made, seen, workload

NO_ROUTE = "Unable to connect to the server: dial tcp 203.0.113.7:6443: i/o timeout"
NO_SPACE = 'Error from server (NotFound): namespaces "nim" not found'
NO_RIGHT = (
    'Error from server (Forbidden): deployments.apps is forbidden: User "ann" cannot create resource "deployments" in '
    'API group "apps" in the namespace "nim"'
)
CREATED = "deployment.apps/nim created"
CLUSTER = ClusterFound(T0 - 1, "https://cluster.test", "test", "v1.36", "default")

Line = str | tuple[float, str]


def phase(
    *lines: Line, status: int | None = 1, argv: Sequence[str] = ("make",), took: float = 0.0, stream: str = "stderr"
) -> list[Signal]:
    """Make a phase that prints lines, each a second later or at its own time, and ends unless status is None."""
    signals: list[Signal] = [CLUSTER, PhaseStarted(T0, "install", tuple(argv), observed=True)]
    at = T0
    for line in lines:
        at, text = (at + 1, line) if isinstance(line, str) else (T0 + line[0], line[1])
        signals.append(Output(at, "install", stream, text))  # type: ignore[arg-type]  # one of two words
    at = max(at + 0.1, T0 + took)
    if status is None:
        return [*signals, Clock(at)]
    result = "failure" if status else "success"
    return [*signals, PhaseEnded(at, "install", result, status, None, at - T0)]


def obstacles(changes: Sequence[Change]) -> dict[str, Obstacle]:
    """Give what was told, by kind, as it was last."""
    told = (change.obstacle for change in changes if change.obstacle is not None)
    return {obstacle.kind: obstacle for obstacle in told}


def kinds(signals: Sequence[Signal]) -> set[str]:
    """Give the kinds that were told."""
    return set(obstacles(replay(signals)))


def test_the_last_words_of_a_phase_that_failed_are_its_cause_with_the_line_as_evidence() -> None:
    told = obstacles(
        replay(phase("kubectl apply -n nim -f nim.yaml", NO_SPACE, "make: *** [Makefile:3: install] Error 1"))
    )
    assert set(told) == {"namespace-missing"}
    found = told["namespace-missing"]
    assert (found.verdict, found.finding.evidence) == (Verdict.TERMINAL, NO_SPACE)
    assert found.finding.subject == Ref("Phase", "", "install", "install")
    assert found.finding.command == "kubectl create namespace nim"
    assert [symptom.kind for symptom in found.symptoms] == ["phase-failed"]


@pytest.mark.parametrize(
    "lines",
    [
        [NO_SPACE, CREATED],
        [NO_SPACE, "make: [Makefile:3: install] Error 1 (ignored)"],
        [NO_SPACE, "pod/nim-0 condition met"],
        [NO_SPACE, 'error: unable to read file "x"'],
        [NO_SPACE, (120.0, "the test failed")],
        [f"2026-11-25 15:00:00 ERROR {NO_SPACE}"],
        [f"nim-0 | {NO_SPACE}"],
        [f"+ echo '{NO_SPACE}'"],
        [f'{{"msg": "{NO_SPACE}"}}'],
    ],
)
def test_what_the_phase_got_over_or_only_quoted_is_not_its_cause(lines: list[Line]) -> None:
    assert kinds(phase(*lines)) == {"phase-failed"}


@pytest.mark.parametrize("line", [NO_SPACE, NO_ROUTE, NO_RIGHT, "bash: helm: command not found"])
def test_a_phase_that_succeeded_has_no_obstacle_whatever_it_printed(line: str) -> None:
    assert kinds(phase(line, (9.0, line), (30.0, "done"), status=0)) & {"namespace-missing", "command-missing"} == set()


def test_what_make_says_failed_a_recipe_is_the_cause_though_others_went_on() -> None:
    lines = [NO_SPACE, "make: *** [Makefile:3: a] Error 1", CREATED, "make: Target 'all' not remade because of errors."]
    assert kinds(phase(*lines)) == {"namespace-missing"}


def test_a_script_that_says_it_again_in_its_own_words_does_not_hide_it() -> None:
    lines: list[Line] = [(5.0, NO_SPACE), (5.05, "ERROR: could not install, see above")]
    assert kinds(phase(*lines)) == {"namespace-missing"}
    assert kinds(phase((5.0, NO_SPACE), (9.0, "Error: unknown flag: --frob"))) == {"phase-failed"}


def test_pods_and_tables_that_a_trap_prints_after_it_do_not_hide_it() -> None:
    table = ["NAME    READY   STATUS    RESTARTS   AGE", "nim-0   1/1     Running   0          4s", 'pod "x" deleted']
    assert kinds(phase(NO_RIGHT, *table)) == {"api-auth"}


def test_a_server_that_is_tried_again_and_again_is_waited_for_from_the_first_try_on() -> None:
    lines = [(30.0, NO_ROUTE), (61.0, NO_ROUTE), (92.0, NO_ROUTE)]
    (found,) = obstacles(replay(phase(*lines, status=None))).values()
    assert (found.kind, found.verdict, found.stands) == ("api-unreachable", Verdict.GRACE, True)
    assert (found.since, found.finding.deadline, found.count) == (T0 + 30, None, 3)
    assert "firewall" in found.finding.cause


def test_it_is_over_as_soon_as_the_server_answers_and_terminal_once_the_phase_failed_by_it() -> None:
    lines = [(30.0, NO_ROUTE), (61.0, NO_ROUTE)]
    answered = obstacles(replay(phase(*lines, (70.0, CREATED), status=None)))
    assert answered["api-unreachable"].outcome == "fixed"
    failed = obstacles(replay(phase(*lines)))
    assert set(failed) == {"api-unreachable"}
    assert failed["api-unreachable"].verdict is Verdict.TERMINAL
    assert failed["api-unreachable"].since == T0 + 30


def test_one_try_that_failed_is_not_worth_a_word_while_the_phase_runs_nor_one_of_long_ago() -> None:
    assert kinds(phase(NO_ROUTE, status=None, took=60)) == set()
    told = obstacles(replay(phase((1.0, NO_ROUTE), (9.0, NO_ROUTE), status=None, took=600)))
    assert told["api-unreachable"].outcome == "fixed"


@pytest.mark.parametrize(
    "follows",
    [
        phase((1.0, NO_ROUTE), (20.0, NO_ROUTE), status=None, argv=["kubectl", "logs", "-f", "nim-0"], stream="stdout"),
        phase("kubectl -n nim logs -f job/x", NO_ROUTE, (9.0, NO_ROUTE), status=None, stream="stdout"),
        [
            *phase(status=None),
            Command(T0 + 1, "install", ("stern", "nim")),
            *(Output(T0 + at, "install", "stdout", NO_ROUTE) for at in (2, 20, 40)),
        ],
    ],
)
def test_the_log_of_a_container_that_passes_by_is_not_the_phase_s_own_trouble(follows: list[Signal]) -> None:
    assert kinds(follows) == set()


def test_what_kubectl_itself_says_on_stderr_beside_a_log_is() -> None:
    argv = ["kubectl", "logs", "-f", "nim-0"]
    assert kinds(phase(NO_RIGHT, argv=argv)) == {"api-auth"}


def test_the_missing_right_is_named_with_the_commands_that_show_and_grant_it() -> None:
    finding = obstacles(replay(phase(NO_RIGHT)))["api-auth"].finding
    assert finding.summary == "ann may not create deployments.apps in namespace nim"
    assert finding.command == "kubectl auth can-i create deployments.apps -n nim"
    assert finding.fix == (
        "Have the right granted: kubectl create role nimble-create-deployments --verb=create "
        "--resource=deployments.apps -n nim && kubectl create rolebinding nimble-create-deployments "
        '--role=nimble-create-deployments --user="ann" -n nim'
    )


def test_a_kubeconfig_that_is_broken_or_names_nothing_is_told_as_what_it_is() -> None:
    broken = 'error: error loading config file "/root/.kube/config": yaml: line 3: mapping values are not allowed'
    finding = obstacles(replay(phase(broken)))["api-auth"].finding
    assert finding.summary == "the kubeconfig /root/.kube/config cannot be read"
    assert finding.cause == "The file is broken: yaml: line 3: mapping values are not allowed."
    finding = obstacles(replay(phase("error: current-context is not set")))["api-auth"].finding
    assert finding.summary == "there is no kubeconfig with a current context"
    assert "Set KUBECONFIG" in finding.fix


def test_a_right_in_the_whole_cluster_and_a_service_account_are_granted_in_their_own_words() -> None:
    line = (
        'Error from server (Forbidden): nodes is forbidden: User "system:serviceaccount:ci:runner" cannot list '
        'resource "nodes" in API group "" at the cluster scope'
    )
    finding = obstacles(replay(phase(line)))["api-auth"].finding
    assert finding.command == "kubectl auth can-i list nodes"
    assert "kubectl create clusterrole nimble-list-nodes --verb=list --resource=nodes" in finding.fix
    assert "--clusterrole=nimble-list-nodes --serviceaccount=ci:runner" in finding.fix


def test_a_refusal_that_kubectl_tells_over_four_lines_is_read_as_one() -> None:
    forbidden = NO_RIGHT.partition(": ")[2].replace("cannot create", "cannot get").replace("apps is", 'apps "nim" is')
    lines = [
        "Error from server (Forbidden): error when retrieving current configuration of:",
        'Resource: "apps/v1, Resource=deployments", GroupVersionKind: "apps/v1, Kind=Deployment"',
        'Name: "nim", Namespace: "nim"',
        f'from server for: "nim.yaml": {forbidden}',
    ]
    finding = obstacles(replay(phase(*lines)))["api-auth"].finding
    assert (finding.evidence, finding.command) == (lines[3], "kubectl auth can-i get deployments.apps -n nim")


def test_an_error_of_oci_is_told_with_its_own_code_and_a_short_request_id() -> None:
    gone = "Authorization failed or requested resource not found."
    lines = [
        "ServiceError:",
        "{",
        '    "code": "NotAuthorizedOrNotFound",',
        f'    "message": "{gone}",',
        '    "opc-request-id": "4E739ED59996C9208C3F08CC8CF4C0F7/9B1DEB4D/2C5EA4C0",',
        '    "operation_name": "get_cluster",',
        '    "status": 404,',
        '    "target_service": "container_engine"',
        "}",
    ]
    finding = obstacles(replay(phase(*lines)))["oci-api"].finding
    assert finding.summary == "OCI answered NotAuthorizedOrNotFound to get_cluster of container_engine"
    assert finding.evidence == f"NotAuthorizedOrNotFound: {gone} (opc-request-id 4E739ED59996)"


def test_a_capacity_that_a_loop_asks_for_again_and_again_is_one_obstacle_with_its_count() -> None:
    line = "Error: 500-InternalError, Out of host capacity."
    (found,) = obstacles(replay(phase(line, (60.0, line), (120.0, line), status=None))).values()
    assert (found.kind, found.verdict, found.count) == ("oci-out-of-capacity", Verdict.GRACE, 3)


def test_a_cause_in_the_cluster_replaces_what_a_wait_said_but_not_what_proves_itself() -> None:
    def with_broken_pod(line: str) -> set[str]:
        status = pending("CreateContainerConfigError", "couldn't find key KEY in Secret nim/ngc")
        (deployment, replicas, _), pod = workload("nim", release="nim")
        owner = Ref("ReplicaSet", "nim", "nim-1", replicas.object.metadata.uid)
        broken = seen("Pod", made("Pod", pod.name, owner=owner, spec={"containers": [container()]}, status=status))
        begun = PhaseStarted(T0, "install", ("helm", "upgrade", "nim", "./c", "-n", "nim"))
        said = [Output(T0 + 30, "install", "stderr", line)]
        ended = PhaseEnded(T0 + 30.1, "install", "failure", 1, None, 30.1)
        return kinds([CLUSTER, begun, deployment, replicas, broken, *said, ended])

    assert with_broken_pod("error: no matching resources found") == {"key-missing"}
    assert with_broken_pod("bash: jq: command not found") == {"key-missing", "command-missing"}


def test_a_limit_of_the_phase_s_own_is_known_by_its_status_also_behind_make() -> None:
    assert kinds(phase("waiting", status=124)) == {"command-timeout"}
    assert kinds(phase("waiting", "make: *** [Makefile:3: install] Error 124", status=2)) == {"command-timeout"}
    assert kinds(phase("NIM did not become healthy within 300s")) == {"command-timeout"}
    assert kinds(phase("NIM did not become healthy within 300s", "error: giving up")) == {"phase-failed"}


def test_a_limiter_is_the_cause_only_early_and_a_wait_that_ran_out_later() -> None:
    line = "Error: client rate limiter Wait returned an error: context deadline exceeded"
    assert kinds(phase(line)) == {"client-throttled"}
    assert kinds(phase((600.0, line))) == {"helm-timeout"}


def waits(signals: Sequence[Signal]) -> list[tuple[str, str]]:
    """Give the waits of silence and what became of them."""
    found = ((change.what, change.wait) for change in replay(signals) if change.wait is not None)
    return [(what, wait.summary) for what, wait in found if wait.kind == "phase-silent"]


def test_ten_minutes_without_a_word_or_a_change_are_a_wait_and_no_obstacle() -> None:
    argv = ["kubectl", "apply", "-n", "nim", "-f", "nim.yaml"]
    signals = phase("begun", (900.0, "done"), argv=argv, status=0)
    summary = "phase install prints nothing, and nothing changes in namespace nim"
    assert waits(signals) == [("waiting", summary), ("waited", summary)]
    assert kinds(signals) == set()


@pytest.mark.parametrize(
    "signals",
    [
        phase("begun", (599.0, "done"), status=0),
        phase(*[(at, "still") for at in range(0, 3000, 500)], status=0),
        [*phase(status=None)[:1], PhaseStarted(T0, "install", ("vim",)), Clock(T0 + 900)],
        [
            *phase("begun", status=None, argv=["kubectl", "apply", "-n", "nim", "-f", "x"]),
            seen("Service", made("Service", "nim"), at=T0 + 500),
            Clock(T0 + 900),
        ],
        [
            *phase("begun", status=None, argv=["kubectl", "apply", "-n", "nim", "-f", "x"]),
            seen("Pod", made("Pod", "nim-0", status={"phase": "Pending"})),
            Clock(T0 + 2000),
        ],
    ],
)
def test_no_silence_is_told_while_there_is_a_sign_or_where_nobody_can_hear(signals: list[Signal]) -> None:
    assert waits(signals) == []


def test_rules_about_output_stand_before_their_symptoms() -> None:
    ranks = {kind: rule.rank for kind, rule in all_rules().items()}
    proven = {kind for kind, rank in ranks.items() if rank < 10 and all_rules()[kind].subjects == {"Phase"}}
    assert {"api-unreachable", "api-auth", "oci-api", "command-missing", "namespace-missing"} <= proven
    assert ranks["command-race"] < ranks["helm-timeout"] < ranks["command-timeout"] < ranks["phase-failed"]


LOCKED = "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress"
UPGRADE = "helm upgrade --install nim ./c -n ai"
UNINSTALL, ROLLBACK = "helm uninstall nim -n ai", "helm rollback nim -n ai"
ASKS = (
    "if helm status nim -n ai | grep -q 'STATUS: pending-install'; then helm uninstall nim -n ai; "
    "else helm rollback nim -n ai; fi"
)


@pytest.mark.parametrize(
    ("script", "lines", "command"),
    [
        (UPGRADE, [LOCKED], ASKS),
        (f"helm status nim -n ai; {UPGRADE}", ["STATUS: pending-install", LOCKED], UNINSTALL),
        (f"helm status nim -n ai; {UPGRADE}", ["STATUS: pending-upgrade", LOCKED], ROLLBACK),
        (UPGRADE, ["nim\tai\t3\t2026-11-25 15:00:00 +0000 UTC\tpending-rollback\tc-1\t1 ", LOCKED], ROLLBACK),
        ("helm status nim -n ai; exit 1", ["STATUS: pending-upgrade"], ROLLBACK),
        (f"helm upgrade two ./c -n ai; {UPGRADE}", [LOCKED], "helm list --all-namespaces --pending"),
    ],
)
def test_a_locked_release_is_named_with_the_command_that_unlocks_it(
    script: str, lines: list[str], command: str
) -> None:
    world = World()
    world.state.apply(PhaseStarted(T0, "install", ("sh", "-c", script)))
    for line in lines:
        world.state.apply(Output(T0 + 9, "install", "stderr", line))
    world.state.apply(ended(T0 + 10))
    (finding,) = world.ask("helm-locked", world.state.phases["install"].ref)
    assert (finding.command, finding.verdict) == (command, Verdict.TERMINAL)


@pytest.mark.parametrize(
    "lines",
    [
        ["STATUS: pending-upgrade", "Error: UPGRADE FAILED: cannot re-use a name that is still in use"],
        ["STATUS: pending-install", "STATUS: failed"],
        [LOCKED, "STATUS: deployed"],
        ['ERROR   Reconciler error   {"error": "another operation (install/upgrade/rollback) is in progress"}'],
    ],
)
def test_what_only_looks_like_a_lock_is_none(lines: list[str]) -> None:
    world = World()
    world.state.apply(PhaseStarted(T0, "install", ("helm", "upgrade", "nim", "./c", "-n", "ai")))
    for at, line in enumerate(lines):
        world.state.apply(Output(T0 + 5 + at, "install", "stderr", line))
    world.state.apply(ended(T0 + 10))
    assert world.ask("helm-locked", world.state.phases["install"].ref) == []
