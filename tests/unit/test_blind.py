"""What may not be seen is one sentence, and only where it matters."""

from __future__ import annotations

from nimble_watch.observer.blind import Blind
from nimble_watch.signals import Synced, Unseen
from tests.unit.made import T0


def refused(kind: str, namespace: str = "") -> Unseen:
    """Make what a stream says that may not list."""
    plural, where = f"{kind.lower()}s", f"in namespace {namespace}" if namespace else "in all namespaces"
    return Unseen(
        T0, kind, namespace, f'{plural} cannot be seen {where}: {plural} is forbidden: User "nobody" cannot list; '
        f"ask for a role with get, list and watch on {plural}"
    )  # fmt: skip


def test_ten_refusals_are_one_sentence_with_what_to_ask_for() -> None:
    blind = Blind()
    for kind in ("Pod", "Event", "Node", "Job", "Service"):
        blind.heard(refused(kind), T0)
    assert blind.due == T0 + 2
    (sentence,) = blind.tell()
    assert sentence.startswith("may not see pods, events, nodes, jobs and 1 more kinds: pods is forbidden: User")
    assert "get, list and watch on pods, events, nodes, jobs, services" in sentence
    assert "the phase goes on" in sentence
    assert blind.due is None


def test_a_refusal_everywhere_is_not_told_of_what_is_seen_in_the_phase_s_namespace() -> None:
    blind = Blind()
    blind.heard(refused("Pod"), T0)
    blind.heard(Synced(T0, "Pod", "nim", frozenset()), T0)
    assert blind.tell() == []


def test_the_same_refusal_again_is_not_told_again() -> None:
    blind = Blind()
    blind.heard(refused("Node"), T0)
    assert len(blind.tell()) == 1
    blind.heard(refused("Node"), T0 + 60)
    assert (blind.due, blind.tell()) == (None, [])


def test_a_namespace_that_appears_in_time_is_not_told_as_missing() -> None:
    blind = Blind()
    blind.heard(Unseen(T0, "Namespace", "nim", "the namespace nim does not exist"), T0)
    blind.heard(Unseen(T0, "Namespace", "typo", "the namespace typo does not exist"), T0)
    blind.heard(Synced(T0 + 1, "Namespace", "nim", frozenset()), T0 + 1)
    assert blind.tell() == ["the namespace typo does not exist"]
