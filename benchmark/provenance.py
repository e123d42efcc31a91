"""Where a number comes from: versions, commit, machine, and the command from `epishot` on."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..methods.device import VARIABLE as DEVICE

#: Packages whose version may change a score.
COMPUTING_PACKAGES = ("epishot", "numpy", "scipy", "scikit-learn", "torch")
#: Options that say how a command was run or where its files went, and nothing about the result.
_NOT_PRINTED = frozenset({"--store", "--board", "--archive", "--beside", "--out", "--jobs", "--timeout"})


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    found = [("python", ".".join(platform.python_version_tuple()[:2]))]
    for package in COMPUTING_PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            found.append((package, "absent"))
    return tuple(found)


def versions() -> dict[str, str]:
    """Versions of Python (minor) and of the packages that compute, and the device of the fits unless it is the CPU."""
    device = os.environ.get(DEVICE, "cpu")
    return dict(_versions()) | ({} if device == "cpu" else {"device": device})


@cache
def commit() -> str:
    """Commit of the running source, marked `+changes` where Python files differ from it.

    Where the package is not a git checkout, its version.
    """
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return f"epishot {versions()['epishot']}"
    try:
        head = _git(root, "rev-parse", "HEAD").strip()
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", "*.py").strip()
    except (OSError, subprocess.SubprocessError):
        return f"epishot {versions()['epishot']}"
    return f"{head}+changes" if changed else head


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout


def environment() -> dict[str, str]:
    """The machine in words: operating system, processor family and number of cores."""
    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "cores": str(os.cpu_count() or 1),
    }


def printable_command(arguments: Sequence[str]) -> str:
    """The command from `epishot` on: what was run, not how, and without folders of this machine.

    Args:
        arguments: what followed the program's name.
    """
    kept: list[str] = ["epishot"]
    skip = False
    for argument in arguments:
        if skip:
            skip = False
            continue
        option, equals, value = argument.partition("=")
        if option in _NOT_PRINTED:
            skip = not equals
            continue
        if equals and option.startswith("--"):
            kept.append(f"{option}={_without_folders(value)}")
        else:
            kept.append(_without_folders(argument))
    return shlex.join(kept)


def _without_folders(text: str) -> str:
    # A folder may be written with a slash at its end; its name stands before it.
    return ",".join(_last(part.replace("\\", "/")) for part in text.split(","))


def _last(part: str) -> str:
    key, equals, value = part.partition("=")
    if equals and "/" not in key:
        return f"{key}={_last(value)}"
    return part.rstrip("/").rpartition("/")[2]
