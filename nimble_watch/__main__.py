"""`python -m nimble_watch`, and the file by which the launcher starts the observer."""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: this very package is meant, whichever is installed, and nothing beside it
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    import nimble_watch  # noqa: F401  finds the package while its folder is on the path

    del sys.path[0]

from nimble_watch.cli import main

if __name__ == "__main__":
    sys.exit(main())
