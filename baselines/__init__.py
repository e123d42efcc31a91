"""Controls, pooled learners and meta-learners: ordinary plugins, found by entry points like anyone's.

May import `epishot.tasks` and `epishot.methods`.
"""
