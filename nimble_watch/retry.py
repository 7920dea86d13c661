"""Trying again: how long to wait between two attempts, and how to be woken from that wait.

Full jitter, because everybody who lost the same server comes back at the same moment otherwise.  The wait ends at once
when `stopped` is set, so no back-off ever delays the end of a phase.  The only importer of tenacity.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

from tenacity import RetryCallState, RetryError, Retrying, retry_if_exception_type, stop_when_event_set
from tenacity.wait import wait_random_exponential


class TryAgainError(Exception):
    """An attempt failed in a way that another one may mend.

    `pause` is how long the other side asked to be left alone (seconds), None when it did not; `healthy` tells that the
    attempt had gone well for long, so that the back-off begins anew.
    """

    def __init__(self, reason: str, *, pause: float | None = None, healthy: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.pause = pause
        self.healthy = healthy


def keep_trying(attempt: Callable[[], object], stopped: Event, *, least: float = 0.1, most: float = 30.0) -> bool:
    """Call `attempt` until it returns (True) or `stopped` is set (False), waiting after each `TryAgainError`.

    The wait is a random time up to `least` seconds, doubled with each failure up to `most`.
    """
    jitter = wait_random_exponential(multiplier=least, max=most)

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, TryAgainError):
            if error.healthy:
                state.attempt_number = 1
            if error.pause is not None:
                return error.pause
        return float(jitter(state))

    def pause(seconds: float) -> None:
        stopped.wait(seconds)

    retrying = Retrying(
        retry=retry_if_exception_type(TryAgainError),
        wait=wait,
        stop=stop_when_event_set(stopped),
        sleep=pause,
    )
    try:
        retrying(attempt)
    except RetryError:
        return False
    return True
