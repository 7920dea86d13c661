"""The JSON Schema of a session's file, as it comes with the program."""

from __future__ import annotations

from importlib import resources

from nimble_watch.session.model import SCHEMA


def schema(version: int = SCHEMA) -> str:
    """Give the schema (2020-12) as text: every field, what it means, and what null stands for in it."""
    return (resources.files("nimble_watch.data") / f"session-{version}.schema.json").read_text(encoding="utf-8")
