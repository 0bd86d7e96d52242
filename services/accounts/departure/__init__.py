"""The end of a person: asked for, undone, and done without a trace."""
