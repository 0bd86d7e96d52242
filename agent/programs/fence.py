"""The limits of one program: set before it starts, and asked about when it has ended."""

import logging

from agent.programs.cgroups import Cgroups, Group, Limits, NotEnforceableError
from agent.settings import AppConfig

log = logging.getLogger(__name__)


class Fence:
    """Keeps a program within what it may use, or says why it cannot.

    Args:
        name: of the program.
    """

    def __init__(self, name: str, config: AppConfig, cgroups: Cgroups) -> None:
        self.problem = ""
        self._name = name
        self._limits = Limits(config.memory_max, config.cpu_percent)
        self._cgroups = cgroups
        self._group: Group | None = None
        self._killed = 0

    def raised(self) -> Group | None:
        """Give the group that the program is to start in, with its limits; None without any."""
        if not self._limits.controllers:
            return None
        try:
            self._group = self._cgroups.group(self._name, self._limits)
        except NotEnforceableError as error:
            self._group = None
            if self.problem != str(error):  # once, not with each start
                log.warning("%s: %s", self._name, error)
            self.problem = str(error)
            return None
        self.problem = ""
        self._killed = self._group.out_of_memory()
        return self._group

    def what_was_hit(self) -> str:
        """Say whether the program that has just ended had needed too much memory; "" if not."""
        if self._group is None or self._group.out_of_memory() <= self._killed:
            return ""
        return f"killed: it needed more memory than {_size(self._limits.memory or 0)}"

    def remove(self) -> None:
        """Leave nothing behind."""
        if self._group is not None:
            self._group.remove()


def _size(count: int) -> str:
    """Write bytes as memoryMax has them."""
    for unit, shift in (("G", 30), ("M", 20), ("K", 10)):
        if count and count % (1 << shift) == 0:
            return f"{count >> shift}{unit}"
    return f"{count} bytes"
