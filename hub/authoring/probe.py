"""Loads plugins in a process of its own, and says what became of them: `-m hub.authoring.probe`.

Arguments: names of installed plugins. Prints a JSON list of `Probed`.
"""

import sys

import msgspec

from hub.plugins import PluginHost


class Probed(msgspec.Struct, frozen=True):
    """One plugin; as `hub.plugins.Plugin`."""

    name: str
    distribution: str
    status: str
    reason: str
    provides: tuple[str, ...]


def main(names: list[str]) -> None:
    """Load these plugins beside our own, and print what became of all."""
    host = PluginHost.load(names, quiet=True)
    told = [
        Probed(one.name, one.distribution, one.status, one.reason, one.provides)
        for one in host.plugins
    ]
    sys.stdout.write(msgspec.json.encode(told).decode())


if __name__ == "__main__":
    main(sys.argv[1:])
