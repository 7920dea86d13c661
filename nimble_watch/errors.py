"""The errors we expect: each says what happened, where, and what to try, and with which status the command ends.

`cli` alone turns them into a sentence on stderr and an exit status; a library's own error is chained underneath.
Standard library only: the launcher uses them before the child is started.
"""

from __future__ import annotations


class NimbleWatchError(Exception):
    """Something we expect to go wrong: `what` happened, `where` (file, server, setting), and what to `advise`."""

    exit_code = 1
    """The status of a subcommand that ends with this error; for `run` and `exec` it is 125 before the child starts."""

    def __init__(self, what: str, *, where: str = "", advise: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.advise = advise

    def __str__(self) -> str:
        """Give one line: what, where, and what to try."""
        sentence = self.what if not self.where else f"{self.what} ({self.where})"
        return sentence if not self.advise else f"{sentence}; {self.advise}"


class UsageError(NimbleWatchError):
    """The command line cannot be understood, or asks for what does not exist."""

    exit_code = 2


class ConfigError(NimbleWatchError):
    """A configuration file or an environment variable holds what cannot be used."""

    exit_code = 2


class NotStartedError(NimbleWatchError):
    """The child could not be started; `status` is what a shell would end with: 126 or 127, or our own 125."""

    def __init__(self, what: str, *, status: int, where: str = "", advise: str = "") -> None:
        super().__init__(what, where=where, advise=advise)
        self.exit_code = status


def closest(word: str, known: list[str]) -> str:
    """Give the known word that was probably meant, or an empty text."""
    import difflib  # noqa: PLC0415  costs 4 ms, needed only once something is wrong

    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=0.6)), "")
