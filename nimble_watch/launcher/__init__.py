"""Process one: starts the child at once, owns its signals, its output and its end, and tells the observer.

Standard library only, and before the child starts only its cheap parts: `start` and `nimble_watch.claim`.  Everything
else is imported while the child is already running: `tap` copies its output, `relay` follows its signals and its end,
`link` is the way to the observer, `edges` remembers what happened for the case that the observer does not.

Whatever goes wrong on our side after the start (no room on disk, no observer, an observer that hangs) costs one warning
and never changes how the child ends, nor how we end: as the child did.
"""

from __future__ import annotations

import os
import time

from nimble_watch.claim import Claim, claim, sessions_directory
from nimble_watch.errors import NimbleWatchError, NotStartedError
from nimble_watch.launcher.start import (
    Pipe,
    Signals,
    child_environment,
    guard_standard_descriptors,
    has_terminal,
    sinks,
    spawn,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Any, NoReturn

    from nimble_watch.launcher.terminal import Pty
else:
    import _signal as signal


class Step:
    """One phase to run: its name and the command, as it is started."""

    __slots__ = ("argv", "phase")

    def __init__(self, phase: str, argv: list[str]) -> None:
        self.phase = phase
        self.argv = argv


class Order:
    """What is to be run, and how; `options` goes to the observer as it is."""

    def __init__(
        self,
        mode: str,
        steps: list[Step],
        options: dict[str, Any],
        *,
        operation: str,
        finally_: list[Step] | None = None,
        recorded: bool = True,
    ) -> None:
        self.mode = mode
        self.steps = steps
        self.options = options
        self.operation = operation
        self.finally_ = finally_ or []
        self.recorded = recorded

    def flag(self, name: str) -> bool:
        """Tell whether an option without a value was given."""
        return bool(self.options.get(name))

    def seconds(self, name: str) -> float | None:
        """Give an option that is a duration."""
        value = self.options.get(name)
        return None if value is None else float(value)


class Stage:
    """What was found and made before the first child starts."""

    __slots__ = ("environ", "files", "held", "inner", "parent", "pipes", "pty", "signals", "stderr", "terminal")

    def __init__(self, order: Order) -> None:
        self.parent = os.getppid()
        self.signals = Signals()
        guard_standard_descriptors()
        self.environ = child_environment()
        self.terminal = has_terminal()
        self.stderr = _stderr_of_observer(order)
        self.held = _claim(order, self.environ)
        self.inner = self.held is not None and _is_inner(order, self.environ)
        found, self.files = sinks()
        if self.held is None or self.inner or order.flag("passthrough") or order.flag("survive"):
            found = []  # where we may die before the child, or nobody looks, it writes to its reader itself
        self.pipes = [Pipe(targets) for targets in found]
        observed = self.terminal and order.flag("observe") and self.held is not None and not self.inner
        self.pty = _own_terminal(self) if observed else None
        if self.pty is not None and self.stderr == 2 and 2 in self.pty.targets:  # noqa: PLR2004  stderr
            self.stderr = self.pty.slave  # our lines stand between the child's, and wait while it edits its screen

    def spawn(self, step: Step) -> int:
        """Start the command of a step."""
        ours = {b"NIMBLE_WATCH_PHASE": os.fsencode(step.phase)}
        if self.held is not None and self.held.session is not None:
            ours[b"NIMBLE_WATCH_SESSION"] = self.held.session.encode()
            ours[b"NIMBLE_WATCH_SESSIONS"] = os.fsencode(self.held.directory)
            ours[b"NIMBLE_WATCH_DEPTH"] = str(_depth(self.environ) + 1).encode()
        outputs = {target: pipe.write for pipe in self.pipes for target in pipe.targets}
        environ = {**self.environ, **ours}
        if self.pty is not None:
            return self.pty.spawn(step.argv, environ, outputs)
        return spawn(step.argv, environ, self.signals, own_group=not self.terminal, outputs=outputs)


def launch(order: Order) -> NoReturn:
    """Run the steps and end this process as the first of them that failed ended."""
    stage = Stage(order)
    waiting = signal.sigpending() & {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM}
    if waiting:  # asked to end before there is a child that could be told
        _withdraw(stage.held)
        die_by(min(waiting))
    try:
        began = time.monotonic(), time.time()
        first = stage.spawn(order.steps[0])
    except NotStartedError as error:
        _withdraw(stage.held)
        say(str(error))
        os._exit(error.exit_code)
    try:  # from here on the child is running, and whatever we import costs it nothing
        from nimble_watch.launcher.session import Conduct

        conduct = Conduct(order, stage)
        conduct.begin(first, *began)
        conduct.run()
    except Exception as error:  # noqa: BLE001  our failure is never the child's
        _only_wait(first, stage, error)


def _only_wait(child: int, stage: Stage, error: Exception) -> NoReturn:
    """Do the one thing that must not fail, when something of ours did: end as the child ends."""
    say(f"cannot watch, the phase goes on: {type(error).__name__}: {error}")
    for pipe in stage.pipes:
        pipe.hand_over()
    if stage.pty is not None:
        _only_carry(stage.pty, stage)
    from nimble_watch.system.calls import change_of, next_signal

    while True:
        came = next_signal(stage.signals.taken, None, terminal=stage.terminal)
        if (
            came is not None
            and came.number not in (signal.SIGCHLD, signal.SIGCONT)
            and not (came.by_kernel and stage.terminal)
        ):
            os.kill(child if stage.terminal else -child, came.number)  # not collected yet, so it is still there
        try:
            found = change_of(child)
        except ChildProcessError:
            os._exit(125)  # it was collected before we failed
        if found is None or found[0] in ("stopped", "continued"):
            continue
        if found[0] == "exited":
            os._exit(found[1])
        die_by(found[1])


def _only_carry(pty: Pty, stage: Stage) -> NoReturn:
    """Do the same where the child has a terminal of its own: keys and output have to be carried as well."""
    from nimble_watch.launcher.relay import Notes, Relay
    from nimble_watch.launcher.tap import Feed

    notes = Notes()
    pty.start(Feed(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)), lambda: notes.leave("tap"))
    relay = Relay(stage.signals, notes, terminal=False, tell=lambda *_, **__: None, pty=pty)
    ending = relay.follow(pty.child, time.monotonic(), limit=None, grace=0.0)
    pty.finish(lambda done: relay.wait(done, None))
    if ending.signal is not None:
        die_by(ending.signal)
    os._exit(ending.status)


def say(sentence: str) -> None:
    """Write one line of ours to stderr; a full or closed one is nobody's problem."""
    try:
        os.write(2, f"nimble-watch: {sentence}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return


def die_by(number: int) -> NoReturn:
    """End by a signal, as the child did, so that shells, make and CI see the same; without a core file of ours."""
    import resource  # only at the very end

    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    except (OSError, ValueError):
        pass  # fall through: the first process of a container cannot be ended by its own signals
    os._exit(128 + number)


def _own_terminal(stage: Stage) -> Pty | None:
    """Make the terminal that --observe asks for; none where nothing the child writes goes to a terminal."""
    from nimble_watch.launcher.terminal import Pty, on_terminal

    targets = on_terminal()
    if not {1, 2} & set(targets):
        return None
    ours = [pipe.read for pipe in stage.pipes]
    if stage.held is not None and stage.held.lock is not None:
        ours.append(stage.held.lock)
    try:
        return Pty(targets, stage.signals, ours)
    except OSError as error:
        say(f"cannot observe the terminal, the phase goes on without: {error.strerror}")
        return None


def _stderr_of_observer(order: Order) -> int:
    """Give the descriptor to which our lines go: stderr, the log file, or nowhere."""
    path = order.options.get("log_file")
    if path:
        try:
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise NimbleWatchError(
                f"cannot write the log file: {error.strerror}", where=str(path), advise="name another --log-file"
            ) from error
    return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC) if order.flag("quiet") else 2


def _claim(order: Order, environ: dict[bytes, bytes]) -> Claim | None:
    if not order.recorded:
        return None
    held = claim(
        sessions_directory(order.options.get("sessions"), environ),
        environ,
        now=time.time(),
        fresh=order.mode == "run",
        leave_open=order.flag("leave_open"),
    )
    if held.warning and not order.flag("quiet"):
        say(held.warning)
    return held


def _is_inner(order: Order, environ: dict[bytes, bytes]) -> bool:
    """Tell whether an outer run or exec of the same phase watches already."""
    return (
        order.mode == "exec"
        and _depth(environ) > 0
        and os.fsdecode(environ.get(b"NIMBLE_WATCH_PHASE", b"")) == order.steps[0].phase
    )


def _depth(environ: dict[bytes, bytes]) -> int:
    text = environ.get(b"NIMBLE_WATCH_DEPTH", b"0")
    return min(int(text), 999) if text.isdigit() else 0


def _withdraw(held: Claim | None) -> None:
    """Take back a claim under which nothing was started."""
    if held is None or held.session is None or held.joined:
        return
    try:
        os.unlink(os.path.join(held.journal, "lock"))
        os.rmdir(held.journal)
    except OSError:
        return
