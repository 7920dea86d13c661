"""The inbox loses nothing, keeps each producer's order, and makes producers wait instead of growing."""

from __future__ import annotations

import threading

from nimble_watch.observer.inbox import Inbox


def test_every_item_of_many_producers_arrives_once_and_in_its_producers_order() -> None:
    inbox: Inbox[tuple[int, int]] = Inbox(4)
    each, producers = 5000, 6

    def produce(who: int) -> None:
        for number in range(0, each, 2):
            inbox.put((who, number), (who, number + 1))

    threads = [threading.Thread(target=produce, args=(who,), daemon=True) for who in range(producers)]
    for thread in threads:
        thread.start()
    taken: list[tuple[int, int]] = []
    while len(taken) < each * producers:
        some = inbox.take(7, timeout=30)
        assert some
        taken += some
    for thread in threads:
        thread.join(30)
    for who in range(producers):
        assert [number for by, number in taken if by == who] == list(range(each))
    assert inbox.take(1) == []


def test_a_full_inbox_makes_its_producer_wait_until_there_is_room() -> None:
    inbox: Inbox[int] = Inbox(4)
    for number in range(4):
        inbox.put(number)
    done = threading.Event()

    def one_more() -> None:
        inbox.put(4)
        done.set()

    thread = threading.Thread(target=one_more, daemon=True)
    thread.start()
    assert not done.wait(0.1)
    assert inbox.take(3) == [0, 1, 2]
    assert done.wait(30)
    thread.join(30)
    assert inbox.take(9) == [3, 4]


def test_what_was_put_at_once_is_taken_at_once_and_in_order() -> None:
    inbox: Inbox[int] = Inbox(4)
    inbox.put(0, 1, 2)
    inbox.put(3)
    assert inbox.take(9) == [0, 1, 2, 3]


def test_nothing_there_in_time_is_told_as_empty() -> None:
    assert Inbox[int](1).take(1, timeout=0.01) == []
