"""The energy-coupling family: the potential of a pair against the environment of a cell."""
