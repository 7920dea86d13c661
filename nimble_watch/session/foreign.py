"""What another program changed in a session's JSON since we wrote it, so that it is merged and never overwritten.

A change is the JSON it touches and nothing else: objects by key, obstacles by id, lists of texts as what was added.
What others took away is not taken away from us, and figures that we compute (performance) stay ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nimble_watch.session.document import read_fields
from nimble_watch.session.model import Obstacle

_OURS = frozenset(
    (
        "total_duration",
        "obstacle_count",
        "total_obstacle_time",
        "efficiency_score",
        "total_duration_ms",
        "total_obstacle_ms",
    )
)


def changes_between(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Give what `theirs` adds to or changes in `ours`; empty if nothing."""
    changes: dict[str, Any] = {}
    for name, value in theirs.items():
        before = ours.get(name)
        if value == before or name in _OURS:
            continue
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if inner := changes_between(before, value):
                changes[name] = inner
        elif isinstance(value, list) and isinstance(before, list):
            if inner_list := _list_changes(before, value):
                changes[name] = inner_list
        else:
            changes[name] = value
    return changes


def _list_changes(before: list[Any], after: list[Any]) -> list[Any]:
    known = _by_id(before)
    changes: list[Any] = []
    for value in after:
        if isinstance(value, Mapping) and value.get("id") in known:
            if inner := changes_between(known[value["id"]], value):
                changes.append({"id": value["id"], **inner})
        elif value not in before:
            changes.append(value)
    return changes


def apply_changes(ours: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Give `ours` with the changes made; making them twice changes nothing more."""
    merged = dict(ours)
    for name, value in changes.items():
        before = merged.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            merged[name] = apply_changes(before, value)
        elif isinstance(value, list) and isinstance(before, list):
            merged[name] = _apply_list(before, value)
        else:
            merged[name] = value
    return merged


def _apply_list(before: list[Any], changes: list[Any]) -> list[Any]:
    merged = list(before)
    for change in changes:
        at = next((at for at, old in enumerate(merged) if _same(old, change)), None)
        if at is None:
            merged.append(change)
        elif isinstance(change, Mapping):
            merged[at] = apply_changes(merged[at], change)
    return merged


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, Mapping) and isinstance(new, Mapping) and "id" in new:
        return bool(old.get("id") == new["id"])
    return bool(old == new)


def _by_id(values: Iterable[Any]) -> dict[Any, Mapping[str, Any]]:
    return {value["id"]: value for value in values if isinstance(value, Mapping) and isinstance(value.get("id"), str)}


def foreign_obstacles(changes: Mapping[str, Any], known: Iterable[str], problems: list[str]) -> list[Obstacle]:
    """Give the obstacles that only the other program knows."""
    listed = changes.get("obstacles")
    if not isinstance(listed, list):
        return []
    ours = set(known)
    found = []
    for name, raw in _by_id(listed).items():
        if name not in ours:
            obstacle = read_fields(Obstacle, raw, "obstacles.", problems, id=name)
            obstacle.source = obstacle.source or "foreign"
            found.append(obstacle)
    return found
