"""Nonces: good once, for one client identifier, for a short time."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable


class Nonces:
    """The nonces that are out.

    They live in memory on purpose: a restart forgets them, and a device that is refused begins
    again. One nonce per client, and no more than `bound` clients, so that nobody can fill it.
    """

    def __init__(
        self, seconds: float, *, bound: int = 100_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._bound = bound
        self._clock = clock
        self._out: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def give(self, client: str) -> str:
        """Make a nonce for this client; an older one of the same client is void."""
        nonce = secrets.token_hex(16)
        self._out.pop(client, None)
        self._out[client] = (nonce, self._clock() + self._seconds)
        if len(self._out) > self._bound:
            self._out.popitem(last=False)
        return nonce

    def spend(self, client: str, nonce: str) -> bool:
        """Say whether this is the client's nonce, and use it up whatever comes of it."""
        known, until = self._out.pop(client, ("", 0.0))
        return secrets.compare_digest(known.encode(), nonce.encode()) and self._clock() < until
