"""A shape, compiled, and applied to whole chunks."""

import time
from collections.abc import Callable

from hub.batches import Chunk, MetricChunk
from hub.shaping.rules import Shape


class Shaper:
    """Applies all of a shape but `join`.

    Args:
        clock: monotonic seconds, for the rate limit.
    """

    def __init__(self, shape: Shape, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Compile.

        Raises:
            Invalid: a regular expression or the template is wrong; its FieldError points at it,
                for example `/filter/include/0/regex`.
        """
        raise NotImplementedError

    @property
    def needs_groups(self) -> bool:
        """A condition asks for the device's group."""
        raise NotImplementedError

    def may_admit(self, stream: str, device: str, group: str | None) -> bool:
        """Say, before lines are decoded, whether any of this device's stream can pass.

        Args:
            stream: `app`, …, or `metric.cpu`, ….
            group: None when it is not known, which never excludes.
        """
        raise NotImplementedError

    def apply(self, chunk: Chunk, group: str) -> Chunk | None:
        """Give what is to be sent of a chunk; None when nothing is."""
        raise NotImplementedError

    def apply_metrics(self, chunk: MetricChunk, group: str) -> MetricChunk | None:
        """Give what is to be sent of a chunk of samples; None when nothing is."""
        raise NotImplementedError

    def delay(self, lines: int) -> float:
        """Take so many lines from the rate limit; give the seconds to wait before they may go.

        0 where there is no limit, or it drops.
        """
        raise NotImplementedError

    def take_counts(self) -> dict[str, int]:
        """Give how many lines were left out or changed since the last call, by step.

        Steps: `filter`, `sample`, `rate_limit` (left out), `redact`, `template` (too long or
        failed, and sent as it was).
        """
        raise NotImplementedError
