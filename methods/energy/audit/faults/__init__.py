"""Planted faults: small changes of the real code, each a way in which a design once was not what was trained.

Used by tests and by `epishot audit-faults` only.
"""
