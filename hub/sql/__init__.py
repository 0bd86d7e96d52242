"""SQL for the hub: named queries, rows as Structs, errors in our words; and the core's tables."""
