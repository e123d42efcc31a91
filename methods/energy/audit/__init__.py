"""Audits of the energy family: alignment checks, monitors of a training, verdicts on known failures, planted faults.

May import everything of `methods/energy`; nothing of it imports this package except `EnergyMethod.audit`.
"""
