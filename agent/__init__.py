"""The device side: relays what a device logs to the hub, and keeps it on disk until it has it.

It imports `hub.protocol` and nothing else of the hub. How a line travels: a source (`app`,
`syslog`, `journal`, `tail`, `ownlog`) puts it into its stream's `linequeue`; the `spooler` thread
forms batches (`batcher`) and syncs them to the stream's `spool`; the `link` thread keeps a
session with the hub (`connection`, `dialogue`) and sends what is spooled (`sender`).
"""
