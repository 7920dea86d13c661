"""The observer, process two: signals in, obstacles out, in one loop; the child never knows that it is there.

`core` decides and does nothing else: no clock, no file, no socket.  `replay` runs it over a recording in virtual time.
`live` wires it to the launcher, the cluster, the journal and the terminal.
"""

from nimble_watch.observer.core import Observer, Report, snapshot
from nimble_watch.observer.replay import replay

__all__ = ["Observer", "Report", "replay", "snapshot"]
