"""`nimble-watch kinds` and `explain`: the catalogue at the prompt."""

from __future__ import annotations

import json

import pytest

from nimble_watch.cli import main
from nimble_watch.rules import all_rules


def test_a_kind_is_explained_by_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "image-not-found"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("image-not-found (image-pull)\n")
    for section in ("Signal:", "Near misses:", "Verdict:", "Fix:", "Source:"):
        assert section in told


def test_a_pasted_message_is_explained_by_the_kinds_it_may_be(capsys: pytest.CaptureFixture[str]) -> None:
    message = (
        'Failed to pull image "a.io/b:1": rpc error: code = NotFound desc = failed to pull and unpack '
        'image "a.io/b:1": failed to resolve reference "a.io/b:1": a.io/b:1: not found'
    )
    assert main(["explain", *message.split()]) == 0
    told = capsys.readouterr().out
    assert "image-not-found" in told
    assert "image-auth" not in told


def test_a_state_is_explained_by_every_kind_that_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "CrashLoopBackOff"]) == 0
    assert "crash-loop" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("state", "kinds"),
    [
        ("ImagePullBackOff", {"image-not-found", "image-auth", "pull-secret-missing"}),
        ("ErrImagePull", {"image-not-found", "image-auth", "pull-secret-missing"}),
        ("ContainerCreating", {"image-pull-slow"}),
        ("FailedScheduling", {"gpu-insufficient", "resources-insufficient", "taint-untolerated", "affinity-mismatch"}),
        ("Pending", {"gpu-insufficient", "resources-insufficient", "taint-untolerated", "pvc-unbound"}),
        ("CreateContainerConfigError", {"secret-missing", "key-missing"}),
        ("Unhealthy", {"readiness-failing", "startup-probe"}),
        ("NotReady", {"node-not-ready"}),
        ("Init:CrashLoopBackOff", {"init-failed"}),
    ],
)
def test_what_kubectl_shows_leads_to_each_kind_behind_it(
    state: str, kinds: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", state]) == 0
    told = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")}
    assert kinds <= told


def test_a_misspelt_kind_is_a_usage_error_that_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "imge-not-found"]) == 2
    assert "did you mean `nimble-watch explain image-not-found`?" in capsys.readouterr().err


def test_all_kinds_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kinds", "-o", "json"]) == 0
    assert [row["kind"] for row in json.loads(capsys.readouterr().out)] == list(all_rules())
