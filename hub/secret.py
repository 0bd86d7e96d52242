"""A secret value that does not show itself in a repr, a log or an error."""

from typing import Final


class Secret:
    """A string that is only readable through `reveal()`.

    Use it as the type of a field in a config Struct: the JSON Schema then says `writeOnly`, the
    API accepts it and never gives it back, and the database holds it encrypted.
    """

    __slots__ = ("_value",)

    MASK: Final = "********"

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Give the value itself; the caller keeps it out of logs and errors."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.MASK!r})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)
