"""The options of `exec` and `run`, and a parser for them that costs nothing before the child starts.

One table serves the parser, the help and the did-you-mean; a new option is one row.  The observer is handed the values
under the names in the table.
"""

from __future__ import annotations

from nimble_watch.errors import UsageError, closest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BOTH = ("exec", "run")


LONGEST = 100  # letters of a phase's name: it stands in tables


class Option:
    """One row: the spellings, the name of the value, what it takes (none: a flag), and where it belongs."""

    __slots__ = ("help", "kind", "metavar", "name", "spellings", "where")

    def __init__(
        self, spellings: str, metavar: str | None, where: tuple[str, ...], text: str, *, kind: str = "text"
    ) -> None:
        self.spellings = spellings.split()
        self.name = self.spellings[-1].lstrip("-").replace("-", "_")
        self.metavar = metavar
        self.where = where
        self.kind = kind if metavar else "flag"
        self.help = text


OPTIONS = (
    Option("--phase", "NAME", ("exec",), "the phase this command belongs to (default: the command's own name)"),
    Option("-f --file", "FILE", ("run",), "the Makefile, as make's -f"),
    Option("-C --directory", "DIR", ("run",), "change to DIR first, as make's -C"),
    Option("-k --keep-going", None, ("run",), "go on with the next phase when one fails"),
    Option("--always", "PHASE", ("run",), "run PHASE at the end whatever happened (may be repeated)", kind="list"),
    Option(
        "--sessions", "DIR", BOTH, "where sessions are kept (default: $NIMBLE_WATCH_SESSIONS or ~/.nimble-oke/sessions)"
    ),
    Option("--operation", "NAME", BOTH, "what the session is of (default: complete-workflow for run, else the phase)"),
    Option("--environment", "NAME", BOTH, "dev, staging, production ... (default: $ENVIRONMENT or dev)"),
    Option("--leave-open", None, ("exec",), "leave the session open for the next command"),
    Option(
        "--timeout",
        "TIME",
        BOTH,
        "stop a phase when its time is up (90, 90s, 15m, 1h30m), with 124",
        kind="time",
    ),
    Option(
        "--kill-after",
        "TIME",
        BOTH,
        "time between INT, TERM and KILL when a phase is stopped (default: 10s)",
        kind="time",
    ),
    Option(
        "--fail-fast",
        None,
        BOTH,
        "stop a phase, with 121, once it certainly cannot succeed (without it: only say what that had saved)",
    ),
    Option(
        "-n --namespace", "NAME", BOTH, "what the phase works on: all of this namespace, or as much as -l, --for say"
    ),
    Option("-l --selector", "LABELS", BOTH, "what the phase works on: objects with these labels (a=b,c=d)"),
    Option("--for", "KIND/NAME", BOTH, "what the phase works on: this object (may be repeated)", kind="list"),
    Option("--context", "NAME", BOTH, "the context of the kubeconfig whose cluster is watched"),
    Option("--kubeconfig", "FILE", BOTH, "the kubeconfig whose cluster is watched (the phase's own is left alone)"),
    Option(
        "--observe",
        None,
        BOTH,
        "see what is written to a terminal, too: the child gets a terminal of its own between itself and yours",
    ),
    Option("--passthrough", None, BOTH, "do not look at the output: pipes are handed on as they are"),
    Option("--survive", None, BOTH, "let the child run on if nimble-watch itself is killed (implies --passthrough)"),
    Option("-q --quiet", None, BOTH, "no line of ours: stderr is the child's alone"),
    Option("--log-file", "FILE", BOTH, "our lines go to FILE instead of stderr"),
)


class Parsed:
    """What was typed: option values, the words before `--`, and those after it."""

    __slots__ = ("after", "help", "values", "words")

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.words: list[str] = []
        self.after: list[str] = []
        self.help = False


def parse(command: str, words: list[str]) -> Parsed:
    """Read the words of `exec` or `run`; `exec` takes everything from the first that is no option as its command."""
    known = {spelling: option for option in OPTIONS if command in option.where for spelling in option.spellings}
    parsed = Parsed()
    rest = iter(words)
    for word in rest:
        if word == "--":
            parsed.after = list(rest)
        elif not word.startswith("-") or word == "-":
            if command == "exec":
                parsed.after = [word, *rest]
            else:
                parsed.words.append(word)
        elif word in ("-h", "--help"):
            parsed.help = True
            return parsed
        else:
            _take(parsed, known, word, rest, command)
    return parsed


def _take(parsed: Parsed, known: dict[str, Option], word: str, rest: Any, command: str) -> None:
    spelling, equals, value = word.partition("=") if word.startswith("--") else (word[:2], word[2:], word[2:])
    option = known.get(spelling)
    if option is None:
        meant = closest(spelling, [*known, "--help"])
        raise UsageError(
            f"{command} has no option {spelling}",
            advise=f"did you mean {meant}?" if meant else f"try `nimble-watch {command} --help`",
        )
    if option.kind == "flag":
        if equals and word.startswith("--"):
            raise UsageError(f"{spelling} takes no value")
        parsed.values[option.name] = True
        if equals:  # several short flags in one word
            _take(parsed, known, f"-{value}", rest, command)
        return
    if not equals:
        typed: str | None = next(rest, None)
        if typed is None:
            raise UsageError(f"{spelling} needs a value: {option.metavar}")
        value = typed
    if option.kind == "list":
        parsed.values.setdefault(option.name, []).append(value)
    else:
        parsed.values[option.name] = seconds(spelling, value) if option.kind == "time" else value


_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def seconds(spelling: str, text: str) -> float:
    """Read a length of time: a number of seconds, or numbers with d, h, m and s."""
    total, number = 0.0, ""
    for letter in text:
        if letter in _UNITS and _is_number(number):
            total += float(number) * _UNITS[letter]
            number = ""
        else:
            number += letter
    if number and not _is_number(number):
        raise UsageError(f"{spelling} cannot read {text!r} as a time", advise="write it as 90, 90s, 15m or 1h30m")
    total += float(number or 0)
    if not text or total <= 0:
        raise UsageError(f"{spelling} needs a time above zero, not {text!r}")
    return total


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit() and text.isascii()


def check_phase(phase: str) -> None:
    """Refuse what cannot be the name of a phase: it stands in files and tables."""
    if not phase or len(phase) > LONGEST or not phase.isprintable() or phase.startswith("-") or " " in phase:
        raise UsageError(f"{phase!r} cannot be the name of a phase", advise="use letters, digits, - and _")
