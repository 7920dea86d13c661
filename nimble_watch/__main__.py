"""`python -m nimble_watch`, and the file by which the launcher starts the observer."""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: the folder above the package is not on the path
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from nimble_watch.cli import main

if __name__ == "__main__":
    sys.exit(main())
