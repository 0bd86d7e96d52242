"""How the relay fares as a whole."""

import msgspec

from hub.contracts import Contract, Nothing


class StreamHealth(msgspec.Struct, frozen=True):
    """A JetStream stream of the relay."""

    name: str
    messages: int
    bytes: int
    oldest: str


class RelayHealth(msgspec.Struct, frozen=True):
    """The relay as a whole.

    Args:
        lines_per_second, bytes_per_second: taken from devices and sources, over ten seconds.
        commit_seconds: what storing took on average over that time.
        integrations: how many there are, by state.
        lag_lines, lag_seconds: of the integration that is furthest behind.
    """

    lines_per_second: float
    samples_per_second: float
    bytes_per_second: float
    commit_seconds: float
    streams: list[StreamHealth]
    integrations: dict[str, int]
    lag_lines: int
    lag_seconds: float
    dead_letters: int


RELAY_HEALTH = Contract("relay.health", Nothing, RelayHealth)
