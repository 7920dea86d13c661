"""The rules' wording against messages that real clusters, containers and tools said.

Each line of `corpus/messages.jsonl` carries the kind that a person gave it.  Our kinds must be recognised by their
words, and words of any other kind must not be taken for ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from nimble_watch.rules import Said, Where, all_rules, said_by

CORPUS = Path(__file__).parent / "corpus" / "messages.jsonl"

_WHERE: dict[str, Where] = {
    "waiting": "waiting",
    "terminated": "terminated",
    "stdout": "output",
    "stderr": "output",
    "container_log": "log",
}


def _lines() -> Iterator[dict[str, Any]]:
    with CORPUS.open(encoding="utf-8") as corpus:
        for line in corpus:
            yield json.loads(line)


def _said(line: dict[str, Any]) -> Said:
    where = line["where"]
    context = line.get("context") or {}
    if where in _WHERE:
        place = _WHERE[where]
    else:
        family = where.rpartition("_")[2]
        place = cast("Where", family) if family in ("event", "condition") else "other"
    return Said(
        message=line["message"],
        where=place,
        involved=line["involved_kind"] or "",
        reason=line["reason"] or "",
        count=context.get("count") or 1,
        age=context.get("seconds") or context.get("seconds_since_pulling"),
        budget=context.get("probe_budget_s") or context.get("pull_budget_s"),
        threshold=context.get("failure_threshold"),
        exit_code=context.get("exit_code"),
        last_reason=context.get("last_terminated_reason") or "",
        container_state=context.get("container_state") or "",
        init_container=bool(context.get("init_container")),
    )


LINES = list(_lines())
OURS = [line for line in LINES if line["kind"] in all_rules()]
OTHERS = [line for line in LINES if line["kind"] not in all_rules()]


def _accepted(line: dict[str, Any], kind: str) -> bool:
    """Tell whether a line is of that kind, or its note names the kind as a right answer too."""
    return kind == line["kind"] or kind in (line["note"] or "")


@pytest.mark.parametrize("line", OURS, ids=lambda line: line["id"])
def test_a_message_of_our_kinds_is_known_by_its_words(line: dict[str, Any]) -> None:
    """The first answer is the labelled kind."""
    first = next(iter(said_by(_said(line))), "no kind at all")
    assert _accepted(line, first)


@pytest.mark.parametrize("line", OTHERS, ids=lambda line: line["id"])
def test_a_message_of_another_kind_is_not_taken_for_ours(line: dict[str, Any]) -> None:
    """What is benign, or the trouble of a kind that we do not know yet, stays unclaimed."""
    claimed = [kind for kind in said_by(_said(line)) if not _accepted(line, kind)]
    assert claimed == []


def test_the_kinds_of_which_the_corpus_holds_no_line_are_these() -> None:
    """They are proven by their recorded streams; silence has no words at all."""
    assert set(all_rules()) - {line["kind"] for line in OURS} == {
        "command-race",
        "command-timeout",
        "crd-missing",
        "helm-chart-unavailable",
        "helm-not-deployed",
        "immutable-field",
        "makefile-invalid",
        "object-exists",
        "phase-silent",
        "startup-probe",
    }


def test_the_numbers_are_what_they_were() -> None:
    """Exactly labelled answers, counted: a change of wording that loses one must be seen."""
    exact = sum(said_by(_said(line))[:1] == [line["kind"]] for line in OURS)
    claimed = sum(bool(said_by(_said(line))) for line in OTHERS)
    assert (len(OURS), exact, len(OTHERS), claimed) == (75, 74, 196, 3)
