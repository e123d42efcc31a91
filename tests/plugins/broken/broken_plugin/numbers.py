"""Not a method at all."""

NUMBER = 3
