"""learn2learn (Arnold et al. 2020) as an optional library: its algorithms and data, without its root.

The root package imports gym and torchvision, which nothing here needs and which often do not fit the installed
torch. So `learn2learn` is entered into `sys.modules` as a package whose `__init__` is not run; its submodules are
then imported as usual. A program that has imported all of learn2learn before keeps what it has.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from importlib.metadata import version
from types import ModuleType
from typing import Any, NamedTuple

from ..tasks.errors import MethodError

#: The last release on PyPI (2023).
RELEASE = "0.2.0"
#: The one command that installs it, also on Python >= 3.11; see docs/learn2learn.md for the reasons.
INSTALL = 'pip install --no-deps --use-pep517 --config-settings="--build-option=build_ext" learn2learn==0.2.0'


class Learn2learn(NamedTuple):
    """What is used of the library.

    Attributes:
        maml: `learn2learn.algorithms.MAML`. data: the module `learn2learn.data`.
        version: of the installed distribution.
    """

    maml: Any
    data: Any
    version: str


@cache
def learn2learn() -> Learn2learn:
    """Import the parts of learn2learn that are used; the result is kept.

    Raises:
        MethodError: it is not installed, or its import fails; the text has the command that installs it.
    """
    entered = False
    try:
        if sys.modules.get("learn2learn") is None:
            if importlib.util.find_spec("learn2learn") is None:
                raise MethodError(f"learn2learn is not installed; install it with: {INSTALL}")
            _enter_root()
            entered = True
        maml = importlib.import_module("learn2learn.algorithms.maml").MAML
        data = importlib.import_module("learn2learn.data")
        return Learn2learn(maml, data, version("learn2learn"))
    except MethodError:
        raise
    except Exception as error:
        if entered:
            del sys.modules["learn2learn"]
        raise MethodError(
            f"learn2learn is installed but cannot be imported ({type(error).__name__}: {error}); "
            f"install it anew with: {INSTALL} --force-reinstall --no-cache-dir"
        ) from error


def _enter_root() -> None:
    spec = importlib.util.find_spec("learn2learn")
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError("learn2learn is not a package")
    root = importlib.util.module_from_spec(spec)
    root.__getattr__ = _explain  # type: ignore[method-assign]
    sys.modules["learn2learn"] = root


def _explain(name: str) -> ModuleType:
    """Attributes that the root would have had: submodules are imported, the rest is explained."""
    if not name.startswith("_") and importlib.util.find_spec(f"learn2learn.{name}") is not None:
        return importlib.import_module(f"learn2learn.{name}")
    raise AttributeError(
        f"learn2learn.{name} is not there because epishot imported learn2learn without its root package; "
        "import learn2learn before epishot's parts of it, or take the name from its submodule."
    )
