"""Nonces: good once, for one client identifier, for a short time."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

FRESH_SECONDS = 5.0


class Nonces:
    """The nonces that are out.

    They live in memory on purpose: a restart forgets them, and a device that is refused begins
    again. One nonce per client, and no more than `bound` clients, so that nobody can fill it.
    Who asks again before it has used one gets the same: its answer may only have been slow, and
    what the client then says with it is not to be refused.
    """

    def __init__(
        self, seconds: float, *, bound: int = 100_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._bound = bound
        self._clock = clock
        self._out: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._fresh: OrderedDict[str, float] = OrderedDict()

    def give(self, client: str) -> str:
        """Give the nonce of this client: the one that is out, or a new one."""
        now = self._clock()
        nonce, until = self._out.pop(client, ("", 0.0))
        if until - now < self._seconds / 2:  # it is to serve for a while yet
            nonce, until = secrets.token_hex(16), now + self._seconds
            self._fresh[client] = now
        self._out[client] = (nonce, until)
        if len(self._out) > self._bound:
            self._out.popitem(last=False)
        return nonce

    def has(self, client: str) -> bool:
        """Say whether a nonce of this client is out."""
        return client in self._out

    def fresh(self) -> int:
        """Count those that were given within the last seconds: they are about to be used."""
        before = self._clock() - FRESH_SECONDS
        while self._fresh and next(iter(self._fresh.values())) < before:
            self._fresh.popitem(last=False)
        return len(self._fresh)

    def spend(self, client: str, nonce: str) -> bool:
        """Say whether this is the client's nonce, and use it up whatever comes of it."""
        self._fresh.pop(client, None)
        known, until = self._out.pop(client, ("", 0.0))
        return secrets.compare_digest(known.encode(), nonce.encode()) and self._clock() < until
