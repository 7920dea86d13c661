"""Which session a command belongs to, decided and claimed before the child starts, by a handful of system calls.

A session is open while its folder `.journal/SESSION_ID/` exists.  Making that folder is the claim: `mkdir` has one
winner, so two commands in the same second get two sessions.  The file `lock` in it says that a command is at work:

- held exclusively: a `run` or `exec` has the session to itself; nobody from outside joins it;
- held shared: commands that joined, or that will leave the session open;
- there, but held by nobody: its owner died; `abandoned` names such sessions, for somebody to close them;
- not there: left open for the next command (`session init`, `--leave-open`).

The file `phases` says that a phase ran in it, the file `shell` whose it is: while that shell lives, others let it be.

An inner command (NIMBLE_WATCH_SESSION and NIMBLE_WATCH_DEPTH are set by the outer one) joins whatever the lock says:
the outer one holds it.  Standard library only, and only its cheap parts: this runs on the way to the child.
"""

from __future__ import annotations

import fcntl
import os
import time

JOURNALS = ".journal"
_SILENCE = 24 * 3600.0  # a session that a shell left open ends after a day in which nobody wrote to it
_TRIES = 100
_ROOM = 65_536  # bytes that a disk must have left: given back at the end, and enough for that of a short session
_TO_LOCK = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_SHAPE = "session-99999999-999999"


class Claim:
    """What was found: the session (none where nothing can be written), its folders, and how it is held."""

    __slots__ = ("directory", "joined", "lock", "session", "warning")

    def __init__(self, directory: str, session: str | None, *, joined: bool, lock: int | None, warning: str) -> None:
        self.directory = directory
        self.session = session
        self.joined = joined
        self.lock = lock
        self.warning = warning

    @property
    def journal(self) -> str:
        """The folder of the session's journals."""
        return journal_folder(self.directory, self.session or "")


def sessions_directory(given: str | None, environ: dict[bytes, bytes]) -> str:
    """Give the folder of the sessions: as given, else NIMBLE_WATCH_SESSIONS, else ~/.nimble-oke/sessions."""
    named = given or os.fsdecode(environ.get(b"NIMBLE_WATCH_SESSIONS", b""))
    if named:
        return os.path.abspath(named)
    home = os.path.expanduser("~")  # falls back to the password database where HOME is not set
    return os.path.join(home, ".nimble-oke", "sessions") if os.path.isabs(home) else _fallback()


def journal_folder(directory: str, session: str) -> str:
    """Give the folder that holds a session's journals while it is open."""
    return os.path.join(directory, JOURNALS, session)


def is_session_id(text: str) -> bool:
    """Tell whether a text is `session-YYYYMMDD-HHMMSS` with an optional `-N`; anything else never touches a path."""
    shape = "".join("9" if letter in "0123456789" else letter for letter in text)
    stamp, number = shape[: len(_SHAPE)], shape[len(_SHAPE) :]
    return stamp == _SHAPE and number in ("", "-9", "-99", "-999")


def claim(
    directory: str, environ: dict[bytes, bytes], *, now: float, fresh: bool = False, leave_open: bool = False
) -> Claim:
    """Join the open session, or make one of our own.

    `fresh` (for `run`) joins only the session that the environment names, or one that has no phases yet and is no other
    shell's.  Never raises: where nothing can be written the claim falls back to a folder of ours among the temporary
    files, and says so in its `warning`.
    """
    instead = _fallback()
    homeless = directory == instead and not os.path.isabs(os.path.expanduser("~"))
    try:
        if homeless:
            _make_fallback(instead)
        found = _join(directory, environ, now=now, fresh=fresh)
        said = f"there is no home folder: this session goes to {instead}" if homeless else ""
        return found or _make(directory, now=now, leave_open=leave_open, warning=said)
    except OSError as error:
        why = f"cannot write sessions to {directory}: {error.strerror}"
    if instead != directory:
        try:
            _make_fallback(instead)
            return _make(instead, now=now, leave_open=leave_open, warning=f"{why}; this one goes to {instead}")
        except OSError:
            pass
    return Claim(directory, None, joined=False, lock=None, warning=f"{why}; this run is not recorded")


def make(directory: str, *, now: float, leave_open: bool = True) -> Claim:
    """Make a session of our own, whatever is open; raises OSError where it cannot be written."""
    return _make(directory, now=now, leave_open=leave_open, warning="")


def release(held: Claim) -> None:
    """Leave a session open for the next command: take the lock file away unless others are at work in it too."""
    if held.lock is None or held.session is None:
        return
    for _ in range(3):  # somebody who only looks holds it for microseconds
        try:
            fcntl.flock(held.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(os.path.join(held.journal, "lock"))
        except OSError:
            time.sleep(0.001)
        else:
            return


def mark_phases(held: Claim) -> None:
    """Note that at least one phase ran, so that a later `run` starts a session of its own."""
    _note(held, "phases", b"")


def mark_shell(held: Claim, environ: dict[bytes, bytes]) -> None:
    """Note the shell whose session it is, which `init_session` names: until it ends, no other shell ends it."""
    shell = environ.get(b"NIMBLE_WATCH_SHELL", b"")
    if shell.isdigit():
        _note(held, "shell", shell)


def _note(held: Claim, name: str, content: bytes) -> None:
    try:
        path = os.path.join(held.journal, name)
        noted = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.write(noted, content)
        os.close(noted)
    except OSError:
        return


def abandoned(directory: str, *, now: float, but: str | None = None) -> list[str]:
    """Name the sessions that somebody should close: their owner died, or a day has passed without a word."""
    return [
        name
        for name in _open_sessions(directory)
        if name != but and (_locked(directory, name) == "dead" or _silent(directory, name, now))
    ]


def in_the_way(directory: str, held: Claim) -> list[str]:
    """Name the sessions left open that `run` and `session init` replace by their own: they are ended."""
    return [
        name
        for name in _open_sessions(directory)
        if name != held.session
        and not held.joined
        and _locked(directory, name) == "free"
        and not _anothers(directory, name)
    ]


def _anothers(directory: str, session: str) -> bool:
    """Tell whether a session is that of a shell that lives and is not the one that calls us."""
    try:
        with open(os.path.join(journal_folder(directory, session), "shell"), "rb") as noted:
            shell = noted.read(20)
        os.kill(int(shell), 0)
    except (OSError, ValueError, OverflowError):
        return False
    return shell != os.environb.get(b"NIMBLE_WATCH_SHELL")


def _fallback() -> str:
    folder = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108  made 0700, and refused when it belongs to somebody else
    return os.path.join(folder, f"nimble-watch-{os.geteuid()}", "sessions")


def _make_fallback(folder: str) -> None:
    os.makedirs(folder, 0o700, exist_ok=True)
    if os.lstat(folder).st_uid != os.geteuid():
        raise PermissionError(1, "it belongs to somebody else", folder)


def _join(directory: str, environ: dict[bytes, bytes], *, now: float, fresh: bool) -> Claim | None:
    named = os.fsdecode(environ.get(b"NIMBLE_WATCH_SESSION", b""))
    inner = bool(environ.get(b"NIMBLE_WATCH_DEPTH"))
    if named and is_session_id(named) and os.path.isdir(journal_folder(directory, named)):
        fresh = False
        if inner:
            return Claim(directory, named, joined=True, lock=None, warning="")
    else:
        named = next(iter(_open_sessions(directory)), "")
    if not named or not os.listdir(journal_folder(directory, named)) or _silent(directory, named, now):
        return None  # an empty folder is one that somebody is about to lock
    if fresh and (
        os.path.exists(os.path.join(journal_folder(directory, named), "phases")) or _anothers(directory, named)
    ):
        return None
    lock = _share(directory, named)
    return None if lock is None else Claim(directory, named, joined=True, lock=lock, warning="")


def _make(directory: str, *, now: float, leave_open: bool, warning: str) -> Claim:
    journals = os.path.join(directory, JOURNALS)
    ready = os.path.join(journals, f".lock-{os.getpid()}")
    try:
        lock = os.open(ready, _TO_LOCK, 0o600)
    except FileNotFoundError:
        os.makedirs(journals, 0o700, exist_ok=True)
        lock = os.open(ready, _TO_LOCK, 0o600)
    try:
        os.write(lock, bytes(_ROOM))  # a full disk still makes folders and empty files
        fcntl.flock(lock, fcntl.LOCK_SH if leave_open else fcntl.LOCK_EX)
        session = _new_folder(directory, time.strftime("session-%Y%m%d-%H%M%S", time.gmtime(now)))
        os.rename(ready, os.path.join(journals, session, "lock"))  # appears held: never seen as one whose owner died
    except OSError:
        os.close(lock)
        _remove(ready)
        raise
    return Claim(directory, session, joined=False, lock=lock, warning=warning)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return


def _new_folder(directory: str, stamp: str) -> str:
    for number in range(1, _TRIES):
        session = stamp if number == 1 else f"{stamp}-{number}"
        file, folder = os.path.join(directory, f"{session}.json"), journal_folder(directory, session)
        if os.path.lexists(file):
            continue  # it has ended already: the name is taken
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            continue
        if not os.path.lexists(file):
            return session
        os.rmdir(folder)  # it began and ended between our two looks
    raise FileExistsError(17, f"{_TRIES} sessions in one second", directory)


def _open_sessions(directory: str) -> list[str]:
    """Give the open sessions, newest first."""
    try:
        names = os.listdir(os.path.join(directory, JOURNALS))
    except OSError:
        return []
    return sorted(filter(is_session_id, names), key=_age, reverse=True)


def _age(session: str) -> tuple[str, int]:
    _, day, second, *number = session.split("-")
    return day + second, int(number[0]) if number else 1


def _share(directory: str, session: str) -> int | None:
    """Take a share of the lock of a session left open; none if somebody has it alone, or died with it."""
    path = os.path.join(journal_folder(directory, session), "lock")
    for _ in range(_TRIES):
        state = _locked(directory, session)
        if state in ("alone", "dead"):
            return None
        lock = os.open(path, _TO_LOCK, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if os.fstat(lock).st_nlink:
                return lock
        except OSError:
            pass
        os.close(lock)  # somebody took it away, or alone, between our two looks
    return None


def _locked(directory: str, session: str) -> str:
    """Tell how a session is held: `alone`, `shared`, `dead` (its owner died) or `free`."""
    path = os.path.join(journal_folder(directory, session), "lock")
    try:
        lock = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return "free"
    except OSError:  # a folder that may only be read: a lock can be tried all the same, but not over NFS
        try:
            lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return "shared"  # not to be known, so let it be
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return "alone"
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return "shared"
        return "dead" if os.fstat(lock).st_nlink else "free"
    finally:
        os.close(lock)


def _silent(directory: str, session: str, now: float) -> bool:
    """Tell whether nobody holds the session and nobody wrote to it for a day."""
    folder = journal_folder(directory, session)
    try:
        newest = max([os.stat(folder).st_mtime, *(entry.stat().st_mtime for entry in os.scandir(folder))])
    except OSError:
        return False
    return now - newest > _SILENCE and _locked(directory, session) in ("free", "dead")
