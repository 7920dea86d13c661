"""A plain (not editable) install of the checkout, as users have it: an editable one starts slower."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

CHECKOUT = Path(__file__).parents[2]


@contextmanager
def plain_install() -> Iterator[Path]:
    """Give the bin folder of an environment of its own with the package installed from a wheel.

    The dependencies are those of the running environment, linked instead of downloaded again.
    """
    with TemporaryDirectory(prefix="nimble-watch-bench-") as folder:
        environment = Path(folder) / "env"
        run(sys.executable, "-m", "venv", "--without-pip", str(environment))
        site = environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        source = Path(sysconfig.get_path("purelib"))
        for entry in source.iterdir():
            if entry.name.startswith("nimble_watch") or entry.suffix == ".pth":
                continue
            copy = site / entry.name
            if entry.is_dir():
                shutil.copytree(entry, copy, copy_function=link)
            else:
                link(str(entry), str(copy))
        run(
            sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"),
            "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-input", str(CHECKOUT),
        )  # fmt: skip
        yield environment / "bin"


def link(source: str, target: str) -> str:
    """Link a file, or copy it where the two are on different file systems."""
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)
    return target


def run(*command: str) -> None:
    """Run a command, with its output in the error when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
