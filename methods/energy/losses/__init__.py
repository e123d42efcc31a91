"""The losses, each with a declaration of what it reads and whom it may reach."""
