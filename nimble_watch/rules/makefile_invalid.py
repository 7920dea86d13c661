"""make cannot do what it was asked: no such target, no Makefile, or a Makefile that it cannot read.

Signal: a phase that failed has said at its end `make: *** No rule to make target 'x'.  Stop.`, `Makefile:3: *** missing
separator.  Stop.`, `*** No targets specified and no makefile found.`, or the text of the Makefile's own `$(error ...)`.

Near misses: `make: *** [target] Error 1`, the echo of a recipe's failure, which its own line above explains; a make
that the phase got over.

Verdict: terminal.

Fix: the target's name, the folder (-C), or the line of the Makefile that make names; recipes begin with a tab.

Source: GNU make 3.81 to 4.4.
"""

from __future__ import annotations

import re

from nimble_watch.rules._printed import Told, printed_rule, said_by_tool

_NO_RULE = re.compile(
    r"\*\*\* No rule to make target \W(?P<target>.+?)['\u2019](?:, needed by \W(?P<by>.+?)['\u2019])?(?:\.|\s|$)"
)
_NO_FILE = re.compile(r"\*\*\* No (?:targets specified and no makefile|targets)\b")
_LINE = re.compile(r"^\s*(?P<place>\S+:\d+): \*\*\* (?P<why>.*?)\.?\s+Stop\.", re.MULTILINE)


def _read(text: str) -> Told | None:
    if (found := _NO_RULE.search(text)) is not None:
        by = f", which {found['by']} needs" if found["by"] else ""
        return Told(
            summary=f"make has no target {found['target']}{by}",
            cause=f"No rule of the Makefile makes {found['target']}{by}, and no file of that name is there.",
            fix="Check the target's name and the folder in which make runs.",
            command="make -qp | grep -E '^[a-z][a-z-]*:'",
            signature=found["target"],
        )
    if _NO_FILE.search(text) is not None:
        return Told(
            summary="make found no Makefile",
            cause="There is no Makefile in the folder in which make was started.",
            fix="Start it in the Makefile's folder, or with -C FOLDER or -f FILE.",
            command="ls",
            signature="no makefile",
        )
    if (found := _LINE.search(text)) is None:
        return None
    tab = " Recipes begin with a tab, not with spaces." if "separator" in found["why"] else ""
    return Told(
        summary=f"{found['place']}: {found['why']}",
        cause=f"make stopped while it read {found['place']}: {found['why']}.{tab}",
        fix=f"Mend line {found['place'].rpartition(':')[2]} of {found['place'].rpartition(':')[0]}.",
        signature=found["place"],
    )


says = said_by_tool(_read)
RULE = printed_rule("makefile-invalid", "config-error", 8, _read)
