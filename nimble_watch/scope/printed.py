"""What a printed line says about the objects that a phase works on: results of kubectl and helm, and echoed commands.

make echoes its recipes and `set -x` a shell's commands, long ones over several lines; a dry run, also one of make, says
the same words and acts upon nothing.
Forms: kubectl 1.20 to 1.36, helm 3 and 4, GNU make, bash and dash, as they print them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from nimble_watch.scope.evidence import (
    HELM,
    KUBECTL,
    LINE,
    NAME,
    SHELLS,
    Evidence,
    Named,
    Release,
    Working,
    from_script,
    mentions,
    object_named,
)

_DONE = (
    "created|configured|unchanged|serverside-applied|deleted|patched|scaled|restarted|annotated|labeled|replaced|edited"
    "|condition met|rolled back|image updated|env updated|resource requirements updated|selector updated|paused|resumed"
    "|exposed|autoscaled|pruned|run"
)
_RESULT = re.compile(rf"([a-z]+)(?:\.[a-z0-9.-]+)?/({NAME}) (?:{_DONE})(?: \(.*\))?")
_QUOTED = re.compile(
    rf"""(?x)
    (?:error:\ )?(?:Waiting\ for\ )?
    (daemon\ set|[a-z]+)(?:\.[a-z0-9.]+)?\ "({NAME})"\ (?:
      successfully\ rolled\ out | rollout\ to\ finish | exceeded\ its\ progress\ deadline
      | (?:force\ )?deleted(?:\ from\ (?P<space>{NAME})\ namespace)?
      | created | patched
    )"""
)
_WAITED = re.compile(rf"error: timed out waiting for the condition on ([a-z]+)(?:\.[a-z0-9.]+)?/({NAME})")
_DRY = re.compile(r"\((?:server |client )?dry run\)$")
_HELM_OBJECT = re.compile(
    rf"resource (?P<kind>[A-Z][A-Za-z]+)/(?P<space>{NAME})/(?P<name>{NAME}) not ready"
    rf"|\[debug\] (?P<kind3>[A-Z][A-Za-z]+) is not ready: (?P<space3>{NAME})/(?P<name3>{NAME})\."
    rf"|level=DEBUG msg=\"[Ww]aiting for resource\" namespace=(?P<space4>{NAME}) name=(?P<name4>{NAME})"
    r" kind=(?P<kind4>\w+)"
)
_RELEASE = re.compile(rf'[Rr]elease "({NAME})" (?:does not exist|uninstalled|failed|was|has been (?!upgraded))')
_HELM_FIELD = re.compile(r"(NAME|NAMESPACE|STATUS): (\S+)")
_HELM_JSON = re.compile(rf'\{{"name":"({NAME})","info":\{{"first_deployed"')
_HELM_JSON_END = re.compile(rf'"namespace":"({NAME})"[^{{}}]*\}}\s*$')
_MAKE_DRY = re.compile(r"-[BbdeikLmnpqrRsStvw]*n[BbdeikLmnpqrRsStvw]*|--(?:just-print|dry-run|recon)")
_BEFORE = frozenset(
    ("timeout", "env", "sudo", "time", "if", "until", "while", "for", "cd", "set", "export", "exec", "nohup", "!", "[")
)
_MOST_LINES = 40


class Reader:
    """Reads the lines of one phase.

    helm says a release's name on one line, its namespace two lines later, and on the next whether it was a dry run.
    """

    def __init__(self, argv: Sequence[str] = ()) -> None:
        """Begin with the phase's own command: of a make that only tells, no echo means anything."""
        self._release = self._space = ""
        self._begun: list[str] = []
        self._acts = not _only_tells(argv)

    def line(self, line: str) -> Iterator[Evidence]:
        """Read one printed line."""
        if line.startswith("{"):
            yield from _helm_json(line)
        if len(line) > LINE:
            return
        if self._begun:
            yield from self._go_on(line)
        elif found := _HELM_FIELD.fullmatch(line):
            yield from self._helm(found[1], found[2])
        elif found := _object_of(line):
            if not _DRY.search(line):
                space = found.groupdict().get("space") or ""
                yield from object_named(found[1].replace(" ", ""), found[2], space)
        elif '"' in line and (release := _RELEASE.match(line)):
            yield Release(release[1])
        elif " ready" in line or "level=DEBUG" in line:
            yield from _helm_objects(line)
        elif mentions(line) and _command(line):
            yield from self._go_on(line)

    def _helm(self, what: str, word: str) -> Iterator[Evidence]:
        if what == "NAME":
            self._release, self._space = word, ""
        elif what == "NAMESPACE":
            self._space = word
        elif self._release and not word.startswith("pending-"):
            if self._space:
                yield Release(self._release, self._space)
                yield Working(self._space)
            else:
                yield Release(self._release)
        if what == "STATUS":
            self._release = ""

    def _go_on(self, line: str) -> Iterator[Evidence]:
        """Take a line of an echoed command; the shell goes on to the next one after a backslash."""
        self._begun.append(line)
        if line.endswith("\\") and len(self._begun) < _MOST_LINES:
            return
        text = _command("\n".join(self._begun))
        self._begun = []
        if self._acts:
            yield from from_script(text)


def _object_of(line: str) -> re.Match[str] | None:
    if "/" in line and (found := _RESULT.fullmatch(line) or _WAITED.match(line)):
        return found
    return _QUOTED.match(line) if '"' in line else None


def _helm_objects(line: str) -> Iterator[Named]:
    if (found := _HELM_OBJECT.search(line)) is not None:
        kind, name, space = (found[p] or found[f"{p}3"] or found[f"{p}4"] for p in ("kind", "name", "space"))
        yield Named(kind, name, space)


def _helm_json(line: str) -> Iterator[Evidence]:
    """Read what helm prints with `-o json`, of which the end may be all that says the namespace."""
    if (found := _HELM_JSON.match(line)) is not None and '"status":"pending-' not in line[:LINE]:
        end = _HELM_JSON_END.search(line[-LINE:])
        yield Release(found[1], end[1] if end is not None else "")


def _command(line: str) -> str:
    """Give a line without what `set -x` puts before it, if a command that can be ours comes first; else nothing."""
    text = line.lstrip("+ \t@-")
    first = PurePosixPath(text.split(None, 1)[0]).name if text.strip() else ""
    known = first in KUBECTL or first in HELM or first in SHELLS or first in _BEFORE
    return text if known or re.match(r"[A-Za-z_]\w*=\S* ", text) else ""


def _only_tells(argv: Sequence[str]) -> bool:
    """Tell whether a command is a make that only says what it would do."""
    makes = bool(argv) and PurePosixPath(argv[0]).name in ("make", "gmake")
    return makes and any(_MAKE_DRY.fullmatch(word) for word in argv[1:])
