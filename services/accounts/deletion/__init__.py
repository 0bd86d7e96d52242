"""The end of an account: shown, taken along, asked for, undone, and done without a trace."""
