"""End to end: the commands that a user types."""
