"""Every case in which a child could notice that it is wrapped has one test, which a reader finds by its number.

Its docstring begins with `Case 7`, and its name says what the case is about; what else belongs to a case says so (`More
of case 7`).  To see the test of a case: `git grep -n -B 4 'Case 7[.:,;]' tests`.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

_FOLDERS = (Path(__file__).parent, Path(__file__).parents[1] / "terminal")
_MAIN = re.compile(r"Case (\d+)[.:,;]")
_ANY = re.compile(r"\b[Cc]ases? (\d+(?:(?:, | and )\d+)*)")
_MOST = 50


def _docstrings() -> Iterator[str]:
    for folder in _FOLDERS:
        for path in sorted(folder.glob("test_*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    yield ast.get_docstring(node) or ""


def test_every_case_has_one_test_that_a_reader_finds() -> None:
    found = Counter(int(main[1]) for text in _docstrings() if (main := _MAIN.match(text)))
    assert set(range(1, _MOST + 1)) - set(found) == set(), "no test's docstring begins with these cases"
    assert {number for number, times in found.items() if times > 1} == set(), "begin all but one with: More of case N"


def test_nothing_is_called_a_case_that_is_none() -> None:
    named = {
        int(number) for text in _docstrings() for found in _ANY.findall(text) for number in re.findall(r"\d+", found)
    }
    assert named == set(range(1, _MOST + 1))
    assert [text for text in _docstrings() if text.startswith("Case") and not _MAIN.match(text)] == []
