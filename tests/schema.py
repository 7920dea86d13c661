"""The schema of a session's file that comes with the program, and what in a file is not as it says.

`python -m tests.schema FILE...` says it of files; the tests ask it of every session that a real run of theirs wrote.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from nimble_watch.session import SCHEMA
from nimble_watch.session.schema import schema


@cache
def validator() -> Draft202012Validator:
    """Give the schema, ready to ask."""
    return Draft202012Validator(json.loads(schema()))


def faults(document: Any) -> list[str]:
    """Give what is wrong with a document, each with the place; nothing where it is valid."""
    return [f"{error.json_path}: {error.message}" for error in validator().iter_errors(document)]


def written_by_us(folder: Path) -> Iterable[tuple[Path, dict[str, Any]]]:
    """Give the session files below a folder that carry our schema; tests put others there, broken ones too."""
    for path in folder.rglob("session-*.json"):
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(document, dict) and document.get("schema") == SCHEMA:
            yield path, document


def invalid(folder: Path) -> list[str]:
    """Give what is wrong with the sessions of ours below a folder."""
    return [f"{path.name}: {fault}" for path, document in written_by_us(folder) for fault in faults(document)]


def main(arguments: list[str]) -> int:
    """Say what is wrong with files."""
    found = [f"{name}: {fault}" for name in arguments for fault in faults(json.loads(Path(name).read_bytes()))]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
