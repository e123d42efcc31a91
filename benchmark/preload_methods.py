"""Imported once by the fork server after the libraries: the modules of the methods that ship with the package.

Third-party plugins are imported by the process of their own fit: what they do on import is not ours to share.
"""

from __future__ import annotations

import importlib

from ..methods.registry import METHODS
from .method_code import method_code
from .worker import PRELOADED

_PACKAGE = __name__.split(".")[0]

for _name in METHODS.names():
    _address = METHODS.reference(_name) or ""
    if not _address.startswith(_PACKAGE + "."):
        continue
    try:
        _code = method_code(_address)
        importlib.import_module(_address.partition(":")[0])
        PRELOADED[_address] = _code
    except Exception:
        continue
