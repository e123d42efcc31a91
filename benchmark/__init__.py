"""Suites, the runner, metrics, the run store, executors and the CLI.

May import `epishot.tasks` and `epishot.methods`; finds methods through the registry, never in `baselines`.
"""
