"""Every case in which a child could notice that it is wrapped has a test that carries its number.

The numbers stand in the tests' docstrings (`Case 7.`, `Cases 26 and 28: ...`); what each is about is the test's name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

_FOLDERS = (Path(__file__).parent, Path(__file__).parents[1] / "terminal")
_CASES = re.compile(r"Cases? (\d+(?:(?:, | and )\d+)*)")
_MOST = 50


def _numbers() -> Iterator[int]:
    for folder in _FOLDERS:
        for path in sorted(folder.glob("test_*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    for found in _CASES.findall(ast.get_docstring(node) or ""):
                        yield from map(int, re.findall(r"\d+", found))


def test_every_case_has_a_test() -> None:
    assert set(range(1, _MOST + 1)) - set(_numbers()) == set()
