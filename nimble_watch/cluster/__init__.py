"""The cluster, watched: one thread per resource turns the API server's lines into signals.

Nothing here judges.  Connections, kubeconfig and authentication are the official client's (`credentials`, `transport`);
what comes over them is read as bytes and decoded into structs (`lines`), because its models cost thirty times as much.
`stream` is one resource's life: list, watch, resume, list again; `watcher` is the set of them, and what a person is
told when there is no cluster to watch.  Only get, list and watch are ever asked for, and never Secrets.

    watcher = Watcher(Settings(context="oke"), inbox.put)
    watcher.start(["nim"])          # returns at once; signals arrive from other threads
    watcher.widen("gpu-operator")   # a namespace came into scope
    watcher.fetch_log("nim", "nim-0", "nim", previous=True)  # answered by a LogTail
    watcher.look_again()            # a phase printed or ended: the kubeconfig may be another one now
    watcher.stop()                  # wakes and joins every thread
"""

from nimble_watch.cluster.settings import Settings
from nimble_watch.cluster.watcher import Watcher

__all__ = ["Settings", "Watcher"]
