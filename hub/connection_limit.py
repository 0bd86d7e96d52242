"""How many connections something that listens may have: of all, and of one address."""

from collections import Counter


class ConnectionLimit:
    """Counts the connections that are open, and says when there is no place for another."""

    def __init__(self, total: int, per_address: int) -> None:
        self._total = total
        self._per_address = per_address
        self._open = 0
        self._by_address: Counter[str] = Counter()

    def take(self, address: str, *, trusted: bool = False) -> str:
        """Take a place; give the reason when there is none, else "".

        Args:
            trusted: it is a proxy that passes on many clients, and may have all places.
        """
        if self._open >= self._total:
            return "too many connections"
        if not trusted and self._by_address[address] >= self._per_address:
            return "too many connections from one address"
        self._open += 1
        self._by_address[address] += 1
        return ""

    def leave(self, address: str) -> None:
        """Give a place back."""
        self._open -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
