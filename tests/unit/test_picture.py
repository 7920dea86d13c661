"""The first picture of a cluster is judged as a whole, and nothing waits for it for long."""

from __future__ import annotations

from nimble_watch.observer.picture import FirstPicture
from nimble_watch.signals import ClusterFound, ClusterLost, PhaseStarted, Signal, Synced, Unseen
from tests.unit.made import T0, begin, ended, said, workload

KINDS = ("Pod", "Event")
FOUND = ClusterFound(T0, "https://cluster.test", "test", "v1.36", "default")


def synced(kind: str) -> Signal:
    return Synced(T0, kind, "", frozenset())


def test_what_comes_before_every_kind_is_listed_is_held_back_and_then_given_in_order() -> None:
    picture = FirstPicture(KINDS)
    (first, third, _), _ = workload("nim")
    second = said("applied")
    assert picture.take([FOUND, first], T0) == []
    assert picture.take([synced("Pod"), second], T0 + 0.1) == []
    assert picture.take([third, synced("Event")], T0 + 0.2) == [
        FOUND, first, synced("Pod"), second, third, synced("Event")
    ]  # fmt: skip
    assert picture.due is None


def test_afterwards_and_without_a_cluster_nothing_is_held_back() -> None:
    picture = FirstPicture(KINDS)
    assert picture.take([said("x")], T0) == [said("x")]
    picture.take([FOUND, synced("Pod"), synced("Event")], T0)
    assert picture.take([said("y")], T0 + 1) == [said("y")]
    assert picture.take([FOUND], T0 + 9) == [FOUND], "found again after it was lost: known already"


def test_a_kind_that_may_not_be_seen_is_not_waited_for() -> None:
    picture = FirstPicture(KINDS)
    refused = Unseen(T0, "Event", "", "forbidden")
    assert picture.take([FOUND, synced("Pod")], T0) == []
    assert picture.take([refused], T0) == [FOUND, synced("Pod"), refused]


def test_a_list_that_takes_long_is_not_waited_for_beyond_ten_seconds() -> None:
    picture = FirstPicture(KINDS)
    assert picture.take([FOUND], T0) == []
    assert picture.due == T0 + 10
    assert picture.release() == [FOUND]
    assert picture.take([said("x")], T0 + 10) == [said("x")]


def test_the_phase_s_end_and_the_loss_of_the_cluster_are_not_held_back() -> None:
    for last in (ended(T0 + 1), ClusterLost(T0 + 1, "gone")):
        picture = FirstPicture(KINDS)
        assert picture.take([FOUND], T0) == []
        assert picture.take([last], T0 + 1) == [FOUND, last]


def test_a_picture_that_the_cluster_s_loss_interrupts_is_taken_up_again() -> None:
    picture = FirstPicture(KINDS)
    lost = ClusterLost(T0, "silent")
    assert picture.take([FOUND, synced("Pod")], T0) == []
    assert picture.take([lost], T0 + 1) == [FOUND, synced("Pod"), lost]
    assert picture.take([FOUND], T0 + 2) == []
    assert picture.due == T0 + 12
    assert picture.take([synced("Event")], T0 + 3) == [FOUND, synced("Event")], "the pods are known already"


def test_a_picture_that_a_short_phase_s_end_interrupts_is_taken_up_with_the_next_one() -> None:
    picture = FirstPicture(KINDS)
    (begun,) = [signal for signal in begin() if isinstance(signal, PhaseStarted)]
    assert picture.take([FOUND, synced("Pod")], T0) == []
    assert picture.take([ended(T0 + 1)], T0 + 1)[-1] == ended(T0 + 1)
    assert picture.take([begun], T0 + 2) == []
    assert picture.due == T0 + 10, "no later than it would have been"
    assert picture.take([begun], T0 + 11) == [begun, begun]


def test_another_cluster_is_seen_for_the_first_time_too() -> None:
    picture = FirstPicture(KINDS)
    picture.take([FOUND, synced("Pod"), synced("Event")], T0)
    other = ClusterFound(T0, "https://other.test", "test", "v1.36", "default")
    assert picture.take([other], T0) == []
