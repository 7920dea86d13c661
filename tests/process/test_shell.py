"""`nimble-watch shell --install`: the scripts in a user's repository, as real bash and make use them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.process.repository import Repository

SHIPPED = Path(__file__).parents[2] / "nimble_watch" / "data" / "shell"
SCRIPTS = ("_lib.sh", "session-tracker.sh")
AFTER_3_2 = {
    "associative arrays and references": r"\b(?:declare|local|typeset)\s+-[a-zA-Z]*[Ang]",
    "changes of case": r"\$\{\w+(?:\^\^?|,,?)",
    "transformations": r"\$\{\w+@[A-Za-z]\}",
    "both streams by one sign": r"&>>|\|&",
    "mapfile, readarray, coproc": r"\b(?:mapfile|readarray|coproc)\b",
    "falling through in case": r";;?&",
    "time by printf": r"%\([^)]*\)T",
    "tests of a variable by name": r"\[\[ -v\b",
    "newer variables": r"\b(?:EPOCHSECONDS|EPOCHREALTIME|BASHPID|SRANDOM)\b",
    "waiting for any": r"\bwait -[np]",
    "arrays, which 3.2 to 4.3 call unset when they are empty": r"\$\{\w+\[@\]\}",
    "descriptors by name": r"\{\w+\}[<>]",
    "negative lengths": r"\$\{\w+:[^}]*:\s*-",
}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Give a repository with our scripts."""
    repository = Repository(tmp_path)
    repository.install()
    return repository


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_are_shellcheck_clean(name: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "shellcheck", "--enable=all", "--exclude=SC2250,SC2310,SC2312", SHIPPED / name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_use_nothing_that_came_after_bash_3_2_and_neither_jq_nor_bc(name: str) -> None:
    code = "".join(
        line for line in (SHIPPED / name).read_text().splitlines(keepends=True) if not line.lstrip().startswith("#")
    )
    assert [what for what, pattern in AFTER_3_2.items() if re.search(pattern, code)] == []
    assert re.search(r"\b(?:jq|bc|python3?)\b", code.replace("as bc prints", "")) is None


def test_what_would_be_done_is_shown_first_and_nothing_is_written(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    said = repository.run("nimble-watch", "shell").stdout
    assert said.count("would write scripts/") == 3
    assert "include scripts/nimble-watch.mk" in said
    assert list(repository.folder.iterdir()) == []


def test_installing_again_changes_nothing_and_an_older_one_of_ours_is_renewed(repository: Repository) -> None:
    library, tracker = repository.scripts / "_lib.sh", repository.scripts / "session-tracker.sh"
    before = library.read_bytes()
    assert tracker.stat().st_mode & 0o777 == 0o755
    assert repository.run("nimble-watch", "shell", "--install", "scripts").stdout.count("there is scripts/") == 3
    assert library.read_bytes() == before
    older = "# of an older version\n:\n"
    digest = subprocess.run(["sha256sum"], input=older, capture_output=True, text=True, check=True).stdout[:16]
    mark = f"# Installed by nimble-watch 0.0.1 (sum {digest}); whatever it said then."
    library.write_text(older.replace("\n", f"\n{mark}\n", 1))
    assert "renewed scripts/_lib.sh\n" in repository.run("nimble-watch", "shell", "--install", "scripts").stdout
    assert library.read_bytes() == before


def test_a_folder_that_cannot_take_the_files_is_named_without_advice_for_sessions(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    (repository.folder / "scripts").write_text("a file")
    done = repository.run("nimble-watch", "shell", "--install", "scripts/inner", status=1)
    assert "scripts/inner: Not a directory; a part of the path is a file; choose another folder\n" in done.stderr


def test_a_folder_with_a_space_is_quoted_as_it_is_typed(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    said = repository.run("nimble-watch", "shell", "--install", "my scripts").stdout
    (line,) = [line for line in said.splitlines() if "source" in line]
    repository.run("bash", "-c", f"{line.partition(':')[2]} && log_success yes")


@pytest.mark.parametrize("way", ["theirs", "changed", "link"])
def test_a_file_that_is_not_ours_stays_and_ours_gets_another_name_and_a_line_to_use_it(
    way: str, repository: Repository
) -> None:
    library, elsewhere = repository.scripts / "_lib.sh", repository.folder / "elsewhere.sh"
    if way == "changed":
        with library.open("a") as file:
            file.write("mine() { :; }\n")
    else:
        library.unlink()
        target = library if way == "theirs" else elsewhere
        target.write_text("mine() { :; }\nlog_success() { echo mine; }\nsource scripts/nimble-watch-lib.sh\n")
        if way == "link":
            library.symlink_to(elsewhere)
    before = library.read_bytes()
    said = repository.run("nimble-watch", "shell", "--install", "scripts").stdout
    assert "wrote scripts/nimble-watch-lib.sh, because scripts/_lib.sh is not ours, or was changed: it stays" in said
    assert "source scripts/nimble-watch-lib.sh" in said
    assert library.read_bytes() == before
    if way != "changed":
        assert repository.bash("log_success; log_obstacle a b c d e").stdout == "mine\n"
        assert len(repository.current()["obstacles"]) == 1
    (repository.scripts / "nimble-watch-lib.sh").write_text("theirs too\n")
    done = repository.run("nimble-watch", "shell", "--install", "scripts", status=1)
    assert "rename one of them" in done.stderr


def test_uninstalling_leaves_what_was_changed(repository: Repository) -> None:
    tracker = repository.scripts / "session-tracker.sh"
    tracker.write_text("#!/bin/sh\n")
    said = repository.run("nimble-watch", "shell", "--uninstall", "scripts").stdout
    assert said.splitlines() == [
        "removed scripts/_lib.sh",
        "kept scripts/session-tracker.sh: it is not ours, or was changed",
        "removed scripts/nimble-watch.mk",
    ]
    assert not (repository.scripts / "_lib.sh").exists()


def test_the_functions_tell_a_whole_session(repository: Repository) -> None:
    done = repository.bash(
        """
        init_session complete-workflow
        start_phase discover
        log_obstacle discover network-timeout "kubectl connection timeout" "Firewall" "Opened 6443" 45 .02
        end_phase discover 3
        track_session_costs 1.85 1.87
        log_success "that was it"
        inside=$NIMBLE_WATCH_SESSION
        end_session
        echo "$inside, then ${NIMBLE_WATCH_SESSION-none}"
        """
    )
    found = repository.current()
    session = found["session_id"]
    lines = done.stdout.splitlines()
    assert lines[:2] == [f"began {session}", "[SUCCESS] that was it"]
    assert lines[2].startswith(f"{session} ended: failure; summary in ")
    assert lines[3] == f"{session}, then none"
    assert done.stderr == ""
    assert (found["operation"], found["state"]) == ("complete-workflow", "ended")
    assert found["phases"]["discover"]["exit"] == 3
    assert (found["costs"]["estimated_hourly"], found["costs"]["actual_hourly"]) == (1.85, 1.87)
    (logged,) = found["obstacles"]
    assert (logged["time_delay_seconds"], logged["cost_impact_usd"]) == (45, 0.02)


def test_an_obstacle_stands_in_the_file_as_soon_as_the_function_has_returned(repository: Repository) -> None:
    done = repository.bash(
        """
        init_session
        cat ~/.nimble-oke/sessions/current.json
        for number in 1 2 3; do
            log_obstacle verify timeout "number $number" c f
            grep -c '"description": "number' ~/.nimble-oke/sessions/current.json
        done
        """
    )
    assert done.stdout.splitlines()[-3:] == ["1", "2", "3"]


TEXTS = {
    "quotes": 'it\'s "quoted" `ticked` $HOME $(false) !! \\ back\\slash %s %n',
    "lines": "first\nsecond\n\n  fourth\n",
    "letters": "Zeitüberschreitung 模型 🚀",
    "a dash": "--help",
    "nothing": "",
    "64 KiB": "long " * 13_107,
    "a star": "* ? [a] ~",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_every_field_arrives_as_it_was_given(text: str, repository: Repository) -> None:
    repository.bash('log_obstacle "$1" "$1" "$2" "$2" "$2"', "verify", text)
    repository.run("scripts/session-tracker.sh", "log-obstacle", "verify", "verify", text, text, text)
    for logged in repository.current()["obstacles"]:
        assert (logged["description"], logged["root_cause"], logged["fix"]) == (text, text, text)
        assert (logged["phase"], logged["type"]) == ("verify", "verify")


def test_secrets_are_masked_and_control_characters_made_visible(repository: Repository) -> None:
    key = "nvapi-" + "x" * 64
    repository.bash(
        'log_obstacle verify config-error "$1" "$2" "$NGC_API_KEY"', "\x1b[31m", key, NGC_API_KEY="hunter22"
    )
    (logged,) = repository.current()["obstacles"]
    assert (logged["description"], logged["root_cause"], logged["fix"]) == ("^[[31m", "nvapi-***", "***")


def test_the_caller_s_shell_keeps_its_options_traps_and_variables(repository: Repository) -> None:
    moving = "_|BASH.*|LINENO|FUNCNAME|PIPESTATUS|RANDOM|SECONDS|before|after"
    seen = f"set +o; shopt; trap; compgen -v | grep -vE '^({moving})$'"
    done = repository.run(
        "bash", "-c", f"trap 'echo bye' EXIT; before=$({seen}); source scripts/_lib.sh; start_phase x; "
        f'after=$({seen}); [[ $after == "$before" ]] && echo same',
    )  # fmt: skip
    assert done.stdout == "same\nbye\n"


EVERY_CALL = """
set -Eeuo pipefail
trap 'echo "a failure was seen"' ERR
init_session x; start_phase a; end_phase a; log_obstacle a b c d e; log_obstacle; track_session_costs 1 2; end_session
while read -r line; do log_obstacle a b c d e; start_phase x; echo "$line"; done <<< $'one\\ntwo'
echo done
"""


def test_a_script_goes_on_where_nothing_can_be_kept_and_is_told_why(repository: Repository) -> None:
    """With every strictness that bash has, and with its input left to the script."""
    (repository.home / ".nimble-oke").write_text("")
    done = repository.bash(EVERY_CALL)
    assert done.stdout == "one\ntwo\ndone\n"
    assert all(line.startswith("nimble-watch: ") for line in done.stderr.splitlines())
    assert "Not a directory" in done.stderr


def test_without_the_program_a_script_goes_on_and_is_told_once(repository: Repository) -> None:
    done = repository.bash(EVERY_CALL, NIMBLE_WATCH="nowhere-to-be-found")
    assert done.stdout == "one\ntwo\ndone\n"
    assert done.stderr == "nowhere-to-be-found is not on PATH: nothing is recorded; install it, or set NIMBLE_WATCH\n"
    tracker = repository.run("scripts/session-tracker.sh", "start-phase", "x", NIMBLE_WATCH="nowhere-to-be-found")
    assert "not found" in tracker.stderr


def test_a_limit_that_was_reached_and_a_command_that_failed_are_logged_and_their_status_kept(
    repository: Repository,
) -> None:
    run = "with_timeout_and_obstacle_tracking"
    done = repository.bash(
        f"{run} 9 'a good thing' verify 'test \"$0\" = bash' && echo good; "
        f"{run} 1 'a slow thing' verify sleep 60; echo $?; IFS=,; {run} 9 'a bad thing' install exit 7; echo $?"
    )
    assert re.fullmatch(r"\[SUCCESS\] a good thing completed in \ds\ngood\n124\n7\n", done.stdout)
    slow, bad = repository.current()["obstacles"]
    assert (slow["type"], slow["description"]) == ("timeout", "a slow thing stalled after 1s")
    assert slow["time_delay_seconds"] >= 1
    assert slow["cost_impact_usd"] == slow["time_delay_seconds"] / 1000
    assert (bad["type"], bad["phase"]) == ("execution-error", "install")
    assert bad["description"] == "a bad thing failed with exit code 7"


def test_a_limit_without_a_command_is_misspelt_and_ends_no_strict_script(repository: Repository) -> None:
    done = repository.bash("set -eu; with_timeout_and_obstacle_tracking 5 waiting verify || echo $?")
    assert done.stdout == "2\n"
    assert "takes SECONDS WHAT PHASE COMMAND...; got 3 words" in done.stderr


def test_a_cluster_that_does_not_answer_is_logged(repository: Repository) -> None:
    done = repository.bash("kubectl() { return 1; }; check_kubectl_connection", status=1)
    assert done.stdout == ""
    (logged,) = repository.current()["obstacles"]
    assert (logged["type"], logged["phase"]) == ("network-timeout", "discover")
    repository.bash("kubectl() { return 0; }; check_kubectl_connection")
    assert len(repository.current()["obstacles"]) == 1


def test_fifty_obstacles_at_once_are_all_there(repository: Repository) -> None:
    repository.bash("init_session")
    done = repository.bash(
        'for number in {1..50}; do log_obstacle verify timeout "number $number" c f 1 .01 & done; wait'
    )
    assert done.stderr == ""
    found = repository.current()
    assert sorted(one["description"] for one in found["obstacles"]) == sorted(f"number {n}" for n in range(1, 51))
    assert len({one["id"] for one in found["obstacles"]}) == 50
    assert found["performance"]["obstacle_count"] == 50


def test_obstacles_at_once_begin_one_session(repository: Repository) -> None:
    """Nobody has begun one: the first does, and the others find it."""
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda number: repository.bash(f"log_obstacle a b {number} d e"), range(10)))
    assert len(repository.current()["obstacles"]) == 10


def test_an_obstacle_logged_inside_a_running_phase_belongs_to_its_session(repository: Repository) -> None:
    (repository.scripts / "install.sh").write_text(
        "#!/usr/bin/env bash\nsource scripts/_lib.sh\nlog_obstacle install resource-quota 'by the script' c f 2 .01\n"
        "grep -c 'by the script' ~/.nimble-oke/sessions/current.json\n"
    )
    done = repository.run("make", "all")
    assert "1\n" in done.stdout
    found = repository.current()
    (logged,) = [one for one in found["obstacles"] if one["source"] == "logged"]
    assert (logged["description"], logged["phase"]) == ("by the script", "install")
    assert found["phases"]["install"]["obstacles"] == [logged["id"]]
    assert (found["state"], list(found["phases"])) == ("ended", ["discover", "prereqs", "install", "verify"])


def test_the_tracker_has_the_guide_s_commands(repository: Repository) -> None:
    tracker = "scripts/session-tracker.sh"
    session = repository.run(tracker, "init", "smoke-test").stdout.strip()
    repository.run(tracker, "start-phase", "install")
    repository.run(tracker, "log-obstacle", "install", "image-pull", "d", "c", "f", "1", ".5")
    repository.run(tracker, "update-costs", "1.85", "1.87")
    repository.run(tracker, "end-phase", "install", "0")
    assert "obstacle_count: 1\n" in repository.run(tracker, "calculate-performance").stdout
    assert f"=== SESSION SUMMARY: {session} ===" in repository.run(tracker, "summary").stdout
    assert "=== SESSION COMPARISON ===" in repository.run(tracker, "compare").stdout
    repository.run(tracker, "end")
    assert repository.run(tracker, "start-phase", status=2).stderr.count("\n") == 1
    assert "session-tracker.sh init [OPERATION]\n" in repository.run(tracker, "help", status=2).stderr


def test_make_runs_scripts_as_phases_and_leaves_recipes_of_the_user_s_alone(repository: Repository) -> None:
    (repository.folder / "Makefile").write_text(
        "include scripts/nimble-watch.mk\n"
        "hello:\n\t@echo hello\n"
        "verify session-end: hello\n\t@$(track) echo $@ of my own\n"
    )
    assert repository.run("make").stdout == "hello\n"
    repository.run("make", "session-init")
    assert repository.run("make", "discover").stdout == "discover ran\n"
    done = repository.run("make", "verify")
    assert (done.stdout, "overriding" in done.stderr) == ("hello\nverify of my own\n", False)
    assert list(repository.current()["phases"]) == ["discover", "verify"]
    done = repository.run("make", "all", "CLEANUP=yes")
    assert [line for line in done.stdout.splitlines() if "directory" in line] == []
    assert list(repository.current()["phases"]) == ["discover", "prereqs", "install", "verify", "cleanup"]
    assert "nimble-watch run" in repository.run("make", "-n", "all").stdout
    assert len(list(repository.sessions.glob("session-*.json"))) == 2


SHELL = """
source scripts/_lib.sh
init_session {name} >/dev/null
echo begun
read -r
log_obstacle {name} b c d e
end_session
"""


def test_two_shells_at_once_keep_their_sessions_apart(repository: Repository) -> None:
    """Neither the other's `init_session` nor a workflow beside it ends a session whose shell lives."""
    shells = []
    for name in ("first", "second"):
        shells.append(
            subprocess.Popen(
                ["bash", "-c", SHELL.format(name=name)],
                cwd=repository.folder,
                env=repository.environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        assert shells[-1].stdout is not None
        assert shells[-1].stdout.readline() == "begun\n"
    repository.run("make", "all", NIMBLE_WATCH_PHASES="discover")
    for shell in shells:
        assert "ended: success" in shell.communicate("\n", timeout=60)[0]
    found = [json.loads(path.read_text()) for path in repository.sessions.glob("session-*.json")]
    assert sorted((one["operation"], [obstacle["phase"] for obstacle in one["obstacles"]]) for one in found) == [
        ("complete-workflow", []),
        ("first", ["first"]),
        ("second", ["second"]),
    ]


def test_the_session_of_a_shell_that_is_gone_is_ended_by_the_next_init(repository: Repository) -> None:
    first = repository.bash("init_session gone; start_phase install").stdout.split()[1]
    repository.bash("init_session next")
    assert json.loads((repository.sessions / f"{first}.json").read_text())["state"] == "ended"


def test_a_workflow_does_not_go_on_with_what_a_dead_script_left_but_with_what_a_shell_names(
    repository: Repository,
) -> None:
    repository.bash("init_session dying; start_phase half; kill -9 $$", status=-9)
    repository.run("make", "all", NIMBLE_WATCH_PHASES="discover")
    assert repository.current()["operation"] == "complete-workflow"
    script = "init_session mine; start_phase before; end_phase before; make all; end_session"
    repository.bash(script, NIMBLE_WATCH_PHASES="discover")
    assert list(repository.current()["phases"]) == ["before", "discover"]
