"""What was written to a destination that never answers, and is not yet sure to have arrived."""

from collections import deque

from hub.destinations import Window
from hub.relay.reader import StoredMessage


class _Written:
    __slots__ = ("at", "end", "message")

    def __init__(self, message: StoredMessage, end: int, at: float) -> None:
        self.message = message
        self.end = end
        self.at = at


class Unconfirmed:
    """Messages that were written but not confirmed, oldest first.

    A message is confirmed when `rule.size` bytes were written after it, or when connections have
    lived `rule.age` seconds since they carried it. The ages of several connections add up: a peer
    that closes idle connections sooner would otherwise get its last lines for ever.
    """

    def __init__(self, rule: Window) -> None:
        self._rule = rule
        self._entries: deque[_Written] = deque()
        self._by_sequence: dict[int, _Written] = {}
        self._total = 0
        self._lived: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, message: StoredMessage, size: int, now: float) -> None:
        """Note that this message was written, in `size` bytes."""
        self._total += size
        earlier = self._lived.get(message.sequence, 0.0)
        entry = _Written(message, self._total, now - earlier)
        self._entries.append(entry)
        self._by_sequence[message.sequence] = entry

    def holds(self, message: StoredMessage) -> bool:
        """Say whether this message was written on the present connection.

        JetStream gives it once more after it was interrupted; it is acknowledged by the reply
        that it has now.
        """
        if not self._entries or message.sequence > self._entries[-1].message.sequence:
            return False
        # One entry stands for all messages that were written with its own.
        entry = self._by_sequence.get(message.sequence)
        if entry is not None:
            entry.message = message
        return True

    def confirmed(self, now: float) -> StoredMessage | None:
        """Forget what is confirmed by now; give the last message of it."""
        last: StoredMessage | None = None
        while self._entries and self._is_confirmed(self._entries[0], now):
            last = self._entries.popleft().message
            del self._by_sequence[last.sequence]
            self._lived.pop(last.sequence, None)
        return last

    def all_confirmed(self) -> StoredMessage | None:
        """Forget everything: the destination says that all was taken. Give the last message."""
        last = self._entries[-1].message if self._entries else None
        self._entries.clear()
        self._by_sequence.clear()
        self._lived.clear()
        return last

    def due(self) -> float | None:
        """Give the time at which the oldest will be confirmed by its age."""
        return self._entries[0].at + self._rule.age if self._entries else None

    def lost(self, now: float) -> None:
        """Note that the connection is gone: what is unconfirmed will be written again."""
        for entry in self._entries:
            self._lived[entry.message.sequence] = now - entry.at
        self._entries.clear()
        self._by_sequence.clear()
        self._total = 0

    def _is_confirmed(self, entry: _Written, now: float) -> bool:
        return self._total - entry.end >= self._rule.size or now - entry.at >= self._rule.age
