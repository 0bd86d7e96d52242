"""Organisations: accounts with members, what these are in it, and in which projects less."""
