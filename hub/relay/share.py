"""Which process delivers an integration, where several share the work."""

import zlib
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Share:
    """The share of one process: integrations whose number among `parts` is `part`."""

    part: int = 0
    parts: int = 1

    def holds(self, integration: str) -> bool:
        """Say whether this integration is among them."""
        return part_of(integration, self.parts) == self.part


def part_of(integration: str, parts: int) -> int:
    """Say which part an integration belongs to."""
    return zlib.crc32(integration.encode()) % parts


ALL: Final = Share()
"""Every integration."""
