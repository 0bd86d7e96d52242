"""Locks by name, which are gone when nobody holds them."""

import asyncio
from weakref import WeakValueDictionary


class Locks:
    """One lock for each name."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, name: str) -> asyncio.Lock:
        """Give the lock of this name; whoever waits for it or holds it keeps it alive."""
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        return lock
