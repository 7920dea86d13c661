"""What people say of a session afterwards: what an obstacle's cause was and what helped, tags, notes.

It is a change of the session's document, made in the order in which it was said, so that a session that is open
(folded from its journals) and one that has ended (a file) take it alike.  Making it twice changes nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nimble_watch.session.model import Remedy
from nimble_watch.session.times import milliseconds, stamp

_SAID = ("root_cause", "fix")


def annotate(document: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Give a session's document with an `annotated` record's words in it; of an obstacle it does not have, without."""
    changed = dict(document)
    if said.get("obstacle"):
        changed["obstacles"] = [
            _explained(one, said) if isinstance(one, Mapping) and one.get("id") == said["obstacle"] else one
            for one in document.get("obstacles") or ()
        ]
    gone = set(said.get("untag") or ())
    for name, added in (("tags", said.get("tags") or ()), ("notes", said.get("notes") or ())):
        known = document.get(name) or []
        if added or (name == "tags" and gone):
            kept = [one for one in known if name != "tags" or one not in gone]
            changed[name] = [*kept, *(one for one in added if one not in kept)]
    return changed


def _explained(obstacle: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Put the new words in the place of the old; the fix that stood there first was advice, and is kept as such."""
    told = {name: said[name] for name in _SAID if said.get(name)}
    changed = {**obstacle, **told}
    if isinstance(why := obstacle.get("unknown"), Mapping) and any(name in told for name in why):
        changed["unknown"] = {name: reason for name, reason in why.items() if name not in told}
    if "fix" in told:
        if not obstacle.get("suggested_fix") and obstacle.get("fix") != told["fix"]:
            changed["suggested_fix"] = obstacle.get("fix")
        if changed != obstacle or not obstacle.get("annotated"):
            changed["annotated"] = stamp(milliseconds(float(said["time"])))
    return changed


def misshapen(document: Mapping[str, Any]) -> Sequence[str]:
    """Name the lists that an annotation adds to which are none in this document, as another program may leave them."""
    return [name for name in ("obstacles", "tags", "notes") if not isinstance(document.get(name) or [], list)]


def helped_before(remedies: Sequence[Remedy]) -> Iterator[str]:
    """Say what helped in earlier sessions, newest first."""
    for number, remedy in enumerate(remedies):
        about = ", ".join(part for part in (remedy.session, remedy.date) if part)
        yield f"helped {'last time' if number == 0 else 'before'}: {' '.join(remedy.fix.split())} ({about})"
