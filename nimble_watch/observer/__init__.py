"""The observer, process two: signals in, obstacles out, in one loop; the child never knows that it is there.

`core` decides and does nothing else: no clock, no file, no socket.  `replay` runs it over a recording in virtual time.
`live` wires it to the launcher, the cluster, the journal and the terminal.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from nimble_watch.observer.core import Observer, Report, snapshot
from nimble_watch.observer.replay import replay
from nimble_watch.system.calls import be_the_likelier_victim

_RATHER_US = 500
"""Of a machine's memory in thousandths: a small child is never killed in our place, one that eats it all still is."""

if TYPE_CHECKING:
    from nimble_watch.observer.watch import Watch
    from nimble_watch.signals import Put

__all__ = ["Observer", "Report", "main", "replay", "snapshot"]


def main(words: list[str]) -> int:
    """Be the observer: `--control FD --output FD`, or `--close SESSION --sessions DIR` to end a session left behind."""
    given = dict(zip(words[::2], words[1::2], strict=False))
    if "--close" in given:
        from nimble_watch.observer.closing import close_when_free  # noqa: PLC0415  all else is not needed for that

        return close_when_free(given["--sessions"], given["--close"])
    be_the_likelier_victim(_RATHER_US)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        # A CI that tells every process to end tells us too, but the session ends after the launcher.  They are not
        # ignored, which the kubeconfig's own commands would inherit.
        signal.signal(number, lambda _number, _frame: None)
    from nimble_watch.observer.live import Live  # noqa: PLC0415  a replay needs neither threads nor a terminal

    status = Live(int(given["--control"]), int(given["--output"]), _open_watch).run()
    os._exit(status)  # everything is written; what still runs are threads that wait for the cluster


def _open_watch(put: Put, kubeconfig: str, context: str) -> Watch:
    from nimble_watch.cluster import Settings, Watcher  # noqa: PLC0415  the client takes a third of a second

    watch: Watch = Watcher(Settings(kubeconfig=kubeconfig, context=context), put)
    return watch
