"""How the relay fares with what an account has."""

import msgspec

from hub.contracts import Contract


class HealthOf(msgspec.Struct, frozen=True):
    """Ask for these projects and integrations: all that an account has, and no others."""

    projects: list[str]
    integrations: list[str]


class RelayHealth(msgspec.Struct, frozen=True):
    """How the relay fares with them.

    Args:
        lines_per_second, samples_per_second, bytes_per_second: taken from devices and sources,
            over ten seconds.
        integrations: how many there are, by state.
        pending: batches that are stored and not yet delivered, of all integrations.
        lag_lines, lag_seconds: of the integration that is furthest behind.
        gap_lines: lines (at most) that were lost before they were delivered.
        dead_letters: of all integrations, and of what devices sent and nobody can read.
        lost_letters: of these (at most), that age, or want of room, took.
    """

    lines_per_second: float
    samples_per_second: float
    bytes_per_second: float
    integrations: dict[str, int]
    pending: int
    lag_lines: int
    lag_seconds: float
    gap_lines: int
    dead_letters: int
    lost_letters: int


RELAY_HEALTH = Contract("relay.health", HealthOf, RelayHealth)
