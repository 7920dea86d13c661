"""`nimble-watch kinds`: every kind of obstacle that is recognised, one line each."""

from __future__ import annotations

import argparse
import json

from nimble_watch.rules import all_rules, pages


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("-o", "--output", choices=("table", "json", "name"), default="table", help="how to show them")


def main(arguments: argparse.Namespace) -> int:
    """Print the kinds in the order of their names."""
    rows = [(kind, rule.type, pages()[kind].strip().split("\n", 1)[0]) for kind, rule in all_rules().items()]
    if arguments.output == "json":
        print(
            json.dumps([{"kind": kind, "type": kind_type, "summary": line} for kind, kind_type, line in rows], indent=2)
        )
    elif arguments.output == "name":
        print("\n".join(kind for kind, _, _ in rows))
    else:
        wide = [max(len(row[column]) for row in rows) for column in (0, 1)]
        for kind, kind_type, line in rows:
            print(f"{kind:<{wide[0]}}  {kind_type:<{wide[1]}}  {line}")
    return 0
