"""The plugin contract, the method registry, conformance checks and the energy-coupling family.

May import `epishot.tasks` only.
"""
