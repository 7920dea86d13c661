"""The parts of README.md that are made from the program: `python -m tests.readme` writes them anew.

A test compares them, so that no table can age.  The transcript is cut from the demo by hand; given a file with what a
demo printed, `python -m tests.readme FILE` fails unless every line of the transcript stands there in the same order,
times, ports, amounts and generated names apart.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from nimble_watch.cli.help import overview
from nimble_watch.rules import all_rules, pages

README = Path(__file__).parents[1] / "README.md"
_END = "<!-- end of generated -->"


def kinds() -> str:
    """Give the table of kinds."""
    rows = [
        f"| `{kind}` | {rule.type} | {pages()[kind].strip().partition(chr(10))[0]} |"
        for kind, rule in all_rules().items()
    ]
    return "\n".join(["| kind | type | what it is |", "| --- | --- | --- |", *rows])


def statuses() -> str:
    """Give the exit statuses as `--help` tells them."""
    return "```\n" + overview().partition("exit status:\n")[2] + "\n```"


def renewed(text: str) -> str:
    """Give README's text with its generated parts made anew."""
    for mark, made in (("python -m tests.readme", kinds()), ("python -m tests.readme statuses", statuses())):
        head = f"<!-- generated: {mark} -->\n"
        before, found, rest = text.partition(head)
        if found:
            text = f"{before}{head}{made}\n{_END}{rest.partition(_END)[2]}"
    return text


def _constant(line: str) -> str:
    """Give a line without what differs from run to run."""
    line = re.sub(r"-[0-9a-f]{8,10}-[a-z0-9]{5}\b", "-POD", line)
    line = re.sub(r"\b\d+(?::\d\d)+\b|\b\d+ s\b", "TIME", line)
    return re.sub(r"\s+", " ", re.sub(r"\d+", "0", line)).strip()


def untold(text: str, printed: str) -> list[str]:
    """Give the lines of README's transcript that do not stand in what was printed, in their order."""
    transcript = text.partition("<!-- transcript")[2].partition("```\n")[2].partition("```")[0]
    lines = [_constant(line) for line in printed.splitlines()]
    missing = []
    for line in transcript.splitlines():
        if line.strip() in ("", "...") or line.startswith("$"):
            continue
        try:
            lines = lines[lines.index(_constant(line)) + 1 :]
        except ValueError:
            missing.append(line)
    return missing


def main(arguments: list[str]) -> int:
    """Write the generated parts, or hold the transcript to a demo."""
    if not arguments:
        README.write_text(renewed(README.read_text()))
        return 0
    missing = untold(README.read_text(), Path(arguments[0]).read_text(errors="replace"))
    for line in missing:
        print(f"README.md shows a line that the demo did not print there: {line}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
