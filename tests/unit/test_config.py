"""Settings know where they came from; the surroundings are read without starting anything."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from nimble_watch.config import Setting, ci_facts, environment_name, host_facts, region_name, vcs_facts
from nimble_watch.log import debugging, log_of


def test_the_flag_beats_the_environment_and_that_the_default() -> None:
    assert environment_name("prod", {"ENVIRONMENT": "staging"}) == Setting("prod", "command line")
    assert environment_name(None, {"ENVIRONMENT": "staging"}) == Setting("staging", "$ENVIRONMENT")
    assert environment_name(None, {"ENVIRONMENT": " "}) == Setting("dev", "default")
    assert region_name({}) == Setting(None, "default")


def test_a_setting_is_cleaned_like_any_text_from_outside() -> None:
    assert environment_name("\x1b[2Jdev", {}).value == "^[[2Jdev"


@pytest.mark.parametrize("value", ["1", "true", "TRUE", "yes", "on", " on "])
def test_debug_is_on(value: str) -> None:
    assert debugging({"DEBUG": value})


@pytest.mark.parametrize("value", ["", "0", "false", "no", "off", "2"])
def test_debug_is_off_and_the_log_silent(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not debugging({"DEBUG": value})
    log_of("test", {"DEBUG": value}).debug("nothing of this", secret="x")  # noqa: S106  made up
    log_of("test", {"DEBUG": value}).warning("nor of this")
    assert capsys.readouterr() == ("", "")


def test_the_ci_system_is_told_with_its_run() -> None:
    github = {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "7", "GITHUB_REPOSITORY": "me/it"}
    assert ci_facts(github) == {"name": "github", "run_id": "7", "url": "https://github.com/me/it/actions/runs/7"}
    assert ci_facts({"OCI_BUILD_RUN_ID": "ocid1.x"}) == {"name": "oci-devops", "run_id": "ocid1.x", "url": None}
    assert ci_facts({"CI": "1"}) == {"name": "unknown", "run_id": None, "url": None}
    assert ci_facts({}) is None


def test_a_checkout_is_told_by_branch_and_revision_also_when_packed_and_in_a_worktree(tmp_path: Path) -> None:
    def git(*words: str, at: Path = tmp_path) -> str:
        who = ("-c", "user.name=me", "-c", "user.email=me@example.com", "-c", "init.defaultBranch=main")
        return subprocess.run(["git", *who, *words], cwd=at, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    assert vcs_facts(tmp_path) == {"branch": "main", "revision": None, "repository": None}
    git("commit", "-q", "--allow-empty", "-m", "one")
    revision = git("rev-parse", "HEAD")
    (tmp_path / "deep").mkdir()
    assert vcs_facts(tmp_path / "deep") == {"branch": "main", "revision": revision, "repository": None}
    git("pack-refs", "--all")
    assert vcs_facts(tmp_path) == {"branch": "main", "revision": revision, "repository": None}
    git("worktree", "add", "-q", "-b", "other", "beside")
    assert vcs_facts(tmp_path / "beside") == {"branch": "other", "revision": revision, "repository": None}
    git("checkout", "-q", "--detach", at=tmp_path / "beside")
    assert vcs_facts(tmp_path / "beside") == {"branch": None, "revision": revision, "repository": None}


def test_outside_of_a_checkout_nothing_is_told(tmp_path: Path) -> None:
    assert vcs_facts(tmp_path) is None


def test_the_host_is_named() -> None:
    assert set(host_facts()) == {"name", "system", "cpus", "boot"}
