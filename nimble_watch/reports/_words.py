"""How reports write numbers, times and paragraphs."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from nimble_watch.session import Session, is_counted

UNKNOWN = "n/a"


def money(amount: Decimal | None, *, at_least: bool = False) -> str:
    """Give an amount to the cent (`$0.15`); one with gaps is `at least`."""
    if amount is None:
        return UNKNOWN
    rounded = amount.quantize(Decimal("0.01"), ROUND_HALF_UP)
    sign, rounded = ("-", -rounded) if rounded < 0 else ("", rounded)
    return f"{'at least ' if at_least else ''}{sign}${rounded}"


def seconds(duration: int | None) -> str:
    """Give whole seconds as the guide writes them (`1847s`)."""
    return UNKNOWN if duration is None else f"{duration}s"


def percent(score: Decimal | None) -> str:
    """Give a score as the guide writes it (`97.6%`)."""
    return UNKNOWN if score is None else f"{score}%"


def clock(duration: int) -> str:
    """Give seconds as people say them: `45 s`, `14:20`, `1:02:03`."""
    if duration < 60:  # noqa: PLR2004  a minute
        return f"{duration} s"
    minutes, rest = divmod(duration, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def when(epoch_ms: int | None) -> str:
    """Give a time as people read it, in UTC."""
    if epoch_ms is None:
        return "an unknown time"
    return datetime.fromtimestamp(epoch_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def one_line(text: str | None) -> str:
    """Give a text without line breaks and bars, for a column."""
    return UNKNOWN if not text else " ".join(text.split()).replace("|", "/")


def paragraph(label: str, text: str, *, width: int, indent: int = 4, column: int = 11) -> list[str]:
    """Give `label  text` wrapped to the width, the text in a column of its own."""
    return _column(label, [line for part in text.splitlines() or [""] for line in _wrap(part, width - indent - column)],
                   indent=indent, column=column)  # fmt: skip


def to_type(label: str, command: str, *, width: int, indent: int = 4, column: int = 11) -> list[str]:
    """Give a command wrapped so that it can still be copied into a shell; what is quoted is never cut apart."""
    quoted = any(mark in command for mark in "'\"\\\n")
    lines = [command] if quoted else _wrap(command, width - indent - column - 2)
    return _column(label, [*(f"{line} \\" for line in lines[:-1]), lines[-1]], indent=indent, column=column)


def within(line: str, width: int) -> list[str]:
    """Give a line wrapped to the width, what follows indented by two more."""
    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.wrap(
        line, width, subsequent_indent=f"{indent}  ", break_long_words=False, break_on_hyphens=False
    ) or [""]


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(20, width), break_long_words=False, break_on_hyphens=False) or [""]


def _column(label: str, lines: list[str], *, indent: int, column: int) -> list[str]:
    head = " " * indent + label.ljust(column)
    return [(head if at == 0 else " " * len(head)) + line for at, line in enumerate(lines)]


def cut(text: str, width: int) -> str:
    """Cut a text to a width."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def counted(session: Session) -> int:
    """Give how many obstacles the session answers for: what may not be its own, and mere symptoms, are listed only."""
    said = session.performance.obstacle_count
    return sum(is_counted(obstacle) for obstacle in session.obstacles) if said is None else said
