"""What the writer of the streams knows of every project, in memory."""

from dataclasses import dataclass, field

from hub.relay.counts import LineCounts
from hub.relay.marks import MarkTable
from hub.relay.usage import Usage


@dataclass(frozen=True, slots=True)
class Tables:
    """How far each device is, how many lines there were, and what was sent since it was told."""

    marks: MarkTable = field(default_factory=MarkTable)
    counts: LineCounts = field(default_factory=LineCounts)
    usage: Usage = field(default_factory=Usage)

    def forget(self, project: str) -> None:
        """Forget a project, of which nothing comes any more."""
        self.marks.forget(project)
        self.counts.forget(project)
        self.usage.forget(project)
