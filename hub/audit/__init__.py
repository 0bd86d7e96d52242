"""The audit log: who did what, from where, to what, before and after.

`deeds` says what is recorded and `shown` what of it may be kept; `journal` and `log` write it down,
`sealer` chains it (`chain`), `verify` walks the chain, `reading` shows it, `erasure` takes personal
values out and leaves the chain standing, and `export` sends it through the relay.
"""
