"""Phases of a Makefile, in order: which ones, whether they exist, and the command of each.

Pure: the text of the Makefiles, or of make's own database, is read by the caller.  Looking for targets must not run
anything, and make cannot promise that: even `make -n` and `-q` execute lines that begin with `+` or mention $(MAKE).
So the Makefile's text is searched first; only what is not found there is looked up in make's database,
printed for a goal of our own that has no recipe.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing collections takes half as long as starting the interpreter, and a child waits
    from collections.abc import Collection, Iterable

DEFAULT_PHASES = ("discover", "prereqs", "install", "verify")
MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
GOAL = "__nimble-watch-nothing__"


def is_dry(environ: dict[bytes, bytes]) -> bool:
    """Tell whether a make above us only pretends (`-n`, `-q`, `-t`): nothing is to be recorded then.

    The single-letter flags stand in the first word of MAKEFLAGS, which then does not begin with a dash.
    """
    first = environ.get(b"MAKEFLAGS", b"").split(b" ", 1)[0]
    return not first.startswith(b"-") and b"=" not in first and any(letter in first for letter in b"nqt")


def is_make(program: str) -> bool:
    """Tell whether a program is make, which honours MAKEFLAGS itself."""
    return program.rpartition("/")[2] in ("make", "gmake", "remake")


def make_command(
    phase: str, *, make: str, file: str | None, directory: str | None, flags: Iterable[str], variables: Iterable[str]
) -> list[str]:
    """Give the command that runs one phase."""
    command = [make]
    if file is not None:
        command += ["-f", file]
    if directory is not None:
        command += ["-C", directory]
    return [*command, *flags, phase, *variables]


def database_command(*, make: str, file: str | None, directory: str | None, variables: Iterable[str]) -> list[str]:
    """Give the command that prints what make knows, and builds a goal that has nothing to do."""
    return make_command(
        GOAL,
        make=make,
        file=file,
        directory=directory,
        flags=["--no-print-directory", "-pRrq", f"--eval={GOAL}: ;"],
        variables=variables,
    )


def targets_in_text(text: str) -> set[str]:
    """Give the targets that a Makefile names literally; included files and computed names are not seen."""
    found: set[str] = set()
    defining = False
    for line in text.replace("\\\n", " ").splitlines():
        word = line.split(maxsplit=1)[0] if line.strip() else ""
        if word in ("define", "endef"):
            defining = word == "define"
        if defining or line.startswith(("\t", "#")) or "$" in line.partition(":")[0]:
            continue
        names, colon, rest = line.partition(":")
        if colon and not rest.startswith("=") and not rest.startswith(":=") and "=" not in names:
            found.update(names.split())
    return {name for name in found if not name.startswith(".")}


def targets_in_database(text: str) -> tuple[set[str], bool]:
    """Give the targets of make's database, and whether some rule might make any other name too."""
    found: set[str] = set()
    anything = False
    not_one = False
    for line in text.splitlines():
        if line.startswith("# Not a target"):
            not_one = True
            continue
        if line.startswith(("#", "\t", " ")) or ":" not in line:
            not_one = not_one and not line
            continue
        names, _, rest = line.partition(":")
        if not_one or rest.startswith("=") or "=" in names:
            not_one = False
            continue
        for name in names.split():
            anything = anything or "%" in name or name == ".DEFAULT"
            if not name.startswith(".") and name != GOAL:
                found.add(name)
    return found, anything


def missing(phases: Collection[str], targets: Collection[str]) -> list[str]:
    """Name the phases that are no targets, in order."""
    return [phase for phase in phases if phase not in targets]


def split_arguments(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """Tell phases from variables (`NAME=value`), as make does."""
    phases: list[str] = []
    variables: list[str] = []
    for word in words:
        (variables if "=" in word else phases).append(word)
    return phases, variables
