"""Record the streams in tests/streams from the embedded cluster: `python -m tests.cluster.record [KIND...]`.

Plays every case of kinds/cases.py at once (about two minutes), then those of kinds/spoken.py (seconds), and writes, for
each kind, what its phase saw.  Only what came out as it should is written, so that a recording is never worse than the
one it replaces; the rest is put beside the system's temporary files, for a person to read.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from nimble_watch import recording
from tests.cluster.harness import Cluster
from tests.cluster.kinds.cases import CASES
from tests.cluster.kinds.drive import play
from tests.cluster.kinds.spoken import SPOKEN, speak
from tests.cluster.kinds.told import told_kinds

STREAMS = Path(__file__).parents[1] / "streams"


def main(wanted: list[str]) -> int:
    """Record, say what was seen, and give 1 if a case did not come out as it should."""
    cases = [case for case in CASES if not wanted or case.kind in wanted]
    spoken = [case for case in SPOKEN if not wanted or case.kind in wanted]
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="nimble-watch-record-") as folder:
        cluster = Cluster.start(Path(folder) / "cluster")
        try:
            streams = {key: one.signals for key, one in play(cluster, cases, Path(folder)).items()} if cases else {}
            with cluster.namespace("spoken") as namespace:
                streams |= {key: tuple(one) for key, one in speak(cluster, namespace, spoken, Path(folder)).items()}
        finally:
            cluster.stop()
    for (kind, side), signals in streams.items():
        kinds = told_kinds(signals)
        fine = (kind in kinds) == (side == "raises")
        wrong += not fine
        print(f"{'ok ' if fine else 'NOT'} {kind:24} {side:10} {len(signals):4} signals  {', '.join(sorted(kinds))}")
        path = STREAMS / kind / f"{side}.jsonl" if fine else Path(tempfile.gettempdir()) / f"{kind}-{side}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        recording.write(path, signals)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
