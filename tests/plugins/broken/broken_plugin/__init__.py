"""Fails on import, as a plugin does whose own dependency is missing."""

import os

if not os.environ.get("BROKEN_PLUGIN_IMPORTS"):
    import a_library_that_nobody_has  # noqa: F401
