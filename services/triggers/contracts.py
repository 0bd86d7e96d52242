"""What the service `triggers` says on the bus."""

from typing import Literal

import msgspec

from hub import Topic


class ProjectAsked(msgspec.Struct, frozen=True):
    """Whoever keeps something of projects is asked for it; one topic, so that the order is kept.

    Args:
        kind: `defaults`, of a project that is new, or `removal`, of one that is gone.
    """

    kind: Literal["defaults", "removal"]
    account: str
    project: str


PROJECT_ASKED = Topic("triggers.project.asked", ProjectAsked)
