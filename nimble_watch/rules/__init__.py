"""The rules: one file per kind of obstacle, and the file's docstring is its page in the catalogue.

A rule is found by being here; there is no list to edit.  Each module defines `RULE`, its kind is the file's name with
dashes (`image_not_found.py` -> `image-not-found`), and its docstring has the sections Signal, Near misses, Verdict, Fix
and Source.  `says` tells whether a lone message is of that kind, by the same wording as the rule itself.
Modules whose name starts with an underscore are what several rules share.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from nimble_watch.findings import Rule
from nimble_watch.rules._said import Said, Says, Where

__all__ = ["Said", "Says", "Where", "all_rules", "pages", "said_by"]


@cache
def all_rules() -> dict[str, Rule]:
    """Give every rule by kind, in the order of the kinds' names."""
    rules: dict[str, Rule] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name):
        if module.name.startswith("_"):
            continue
        rule: Rule = importlib.import_module(f"{__name__}.{module.name}").RULE
        rules[rule.kind] = rule
    return rules


@cache
def pages() -> dict[str, str]:
    """Give each kind's page: the docstring of its rule."""
    return {kind: importlib.import_module(f"{__name__}.{kind.replace('-', '_')}").__doc__ or "" for kind in all_rules()}


@cache
def _sayers() -> dict[str, Says]:
    return {kind: importlib.import_module(f"{__name__}.{kind.replace('-', '_')}").says for kind in all_rules()}


def said_by(said: Said) -> list[str]:
    """Give the kinds that a lone message can be, causes before symptoms; empty when it is none of them."""
    rules = all_rules()
    return sorted((kind for kind, says in _sayers().items() if says(said)), key=lambda kind: rules[kind].rank)
