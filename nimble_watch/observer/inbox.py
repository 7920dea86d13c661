"""The observer's one inbox: many threads put, the loop takes, and whoever finds it full waits.

`queue.Queue` takes a lock and notifies for every item, which beside a busy reader costs three times as much as judging
the item (`make bench`).  Here both sides work on a deque without a lock, which the interpreter makes safe; only a loop
that sleeps is woken, and only a crowded inbox makes anybody wait.  What came together is put and taken together.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Inbox(Generic[Item]):
    """A bounded first-in-first-out queue for several producers and one consumer."""

    def __init__(self, room: int) -> None:
        """Hold at most about `room` items: each producer may be over it with what it puts at once."""
        self._room = room
        self._items: deque[Item] = deque()
        self._asleep = False
        self._bell = threading.Event()
        self._crowded = False
        self._less = threading.Condition()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, *items: Item) -> None:
        """Add items, none of another producer between them, waiting as long as the inbox is full."""
        if len(self._items) >= self._room:
            self._await_room()
        self._items.extend(items)  # in one step: the interpreter's lock is not given away within
        # The consumer says that it sleeps before it looks a last time, so one of the two sees the other.
        if self._asleep:
            self._bell.set()

    def _await_room(self) -> None:
        with self._less:
            while True:
                # Said before each look: the consumer takes first and asks then, so one of the two sees the other.
                self._crowded = True
                if len(self._items) < self._room:
                    return
                self._less.wait()

    def take(self, most: int, timeout: float | None = 0.0) -> list[Item]:
        """Take the oldest items, at most so many; with none there, wait for one, `timeout` seconds at most."""
        items = self._items
        if not items and timeout != 0.0:
            self._sleep(timeout)
        taken = [items.popleft() for _ in range(min(len(items), most))]
        if self._crowded and len(items) <= self._room // 2:
            with self._less:
                self._crowded = False
                self._less.notify_all()
        return taken

    def _sleep(self, timeout: float | None) -> None:
        self._bell.clear()
        self._asleep = True
        if not self._items:
            self._bell.wait(timeout)
        self._asleep = False
