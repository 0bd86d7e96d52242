"""Mails: what they are, how they are written, and how they leave with a transaction."""
