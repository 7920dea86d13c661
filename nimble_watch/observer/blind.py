"""What may not be seen of the cluster, told once and as one sentence, however many kinds it is.

Each kind is refused by itself, within a second or so, and a kind that is refused everywhere may still be seen in the
namespaces that matter.  So what is missing is known only a moment after the first refusal.
"""

from __future__ import annotations

from nimble_watch.signals import Synced, Unseen

_SETTLE = 2.0
_NAMED = 4


class Blind:
    """Collects what cannot be seen; gives sentences when it is time for them."""

    def __init__(self) -> None:
        self._reasons: dict[tuple[str, str], str] = {}
        self._seen: set[tuple[str, str]] = set()
        self._said: frozenset[tuple[str, str]] = frozenset()
        self.due: float | None = None
        """When there is something to be said (epoch seconds)."""

    def heard(self, signal: Unseen | Synced, now: float) -> None:
        """Take note that a kind can, or cannot, be seen."""
        key = (signal.kind, signal.namespace)
        if isinstance(signal, Synced):
            self._seen.add(key)
            self._reasons.pop(key, None)
            return
        self._seen.discard(key)
        self._reasons[key] = signal.reason
        if self.due is None and key not in self._said:
            self.due = now + _SETTLE

    def tell(self) -> list[str]:
        """Give what is to be said by now: each namespace that is not there, and all kinds in one sentence."""
        self.due = None
        new = {key: why for key, why in self._reasons.items() if key not in self._said}
        self._said |= new.keys()
        sentences = [why for (kind, _), why in new.items() if kind == "Namespace"]
        spaces = {space for kind, space in (*self._reasons, *self._seen) if space and kind != "Namespace"}
        missing = {
            (kind, space): why
            for (kind, space), why in new.items()
            if kind != "Namespace" and not (space == "" and spaces and all((kind, one) in self._seen for one in spaces))
        }
        if missing:
            sentences.append(_sentence(missing))
        return sentences


def _sentence(missing: dict[tuple[str, str], str]) -> str:
    kinds = [f"{kind.lower()}s" for kind in dict.fromkeys(kind for kind, _ in missing)]
    few = ", ".join(kinds[:_NAMED]) + (f" and {len(kinds) - _NAMED} more kinds" if len(kinds) > _NAMED else "")
    why, _, advice = next(iter(missing.values())).partition("; ")
    why = why.partition(": ")[2] or why
    if advice.startswith("ask for"):
        role = (
            "role there" if all(space for _, space in missing) else "ClusterRole, or a Role in the phase's namespace,"
        )
        advice = f"ask for a {role} with get, list and watch on {', '.join(kinds)}"
    return f"may not see {few}: {why}; {f'{advice}; ' if advice else ''}what needs them stays unsaid, the phase goes on"
