"""Audits: evidence that a method does what it claims. Findings, and the harness audits that fit any plugin.

May import `epishot.tasks` and the rest of `epishot.methods`, but no family of methods.
"""
