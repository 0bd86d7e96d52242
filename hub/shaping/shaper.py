"""A shape, compiled, and applied to whole chunks."""

import time
from collections import Counter
from collections.abc import Callable

from hub.batches import Chunk, MetricChunk
from hub.shaping.checks import Problems
from hub.shaping.filters import FilterStep
from hub.shaping.join import continuation
from hub.shaping.names import Namer
from hub.shaping.patterns import Texts
from hub.shaping.redaction import Redactor
from hub.shaping.rules import Shape
from hub.shaping.selection import AnyChunk
from hub.shaping.templates import LineTemplate
from hub.shaping.thinning import Sampler, TokenBucket


class Shaper:
    """Applies all of a shape but `join`.

    Args:
        clock: monotonic seconds, for the rate limit and the time that a template takes.
    """

    def __init__(self, shape: Shape, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Compile.

        Raises:
            Invalid: a regular expression (also one of `join`) or the template is wrong; its
                FieldErrors point at all that is, for example `/filter/include/0/regex`.
        """
        problems = Problems()
        if shape.join is not None:
            with problems.gathered():
                continuation(shape.join)
        self._filter = FilterStep(shape.filter, problems)
        self._redactor = Redactor(shape.redact, problems)
        self._namer = Namer(shape.rename, shape.labels, problems)
        self._template: LineTemplate | None = None
        if shape.template:
            with problems.gathered():
                self._template = LineTemplate(shape.template, clock)
        problems.check()
        self._sampler = Sampler(shape.sample) if shape.sample else None
        limit = shape.rate_limit
        self._bucket = TokenBucket(limit, clock) if limit else None
        self._drops = limit is not None and limit.over == "drop"
        self._counts = Counter[str]()

    @property
    def needs_groups(self) -> bool:
        """A condition asks for the device's group."""
        return self._filter.needs_groups

    def may_admit(self, stream: str, device: str, group: str | None) -> bool:
        """Say, before lines are decoded, whether any of this device's stream can pass.

        Args:
            stream: `app`, …, or `metric.cpu`, ….
            group: None when it is not known, which never excludes.
        """
        return self._filter.may_admit(stream, device, group)

    def apply(self, chunk: Chunk, group: str) -> Chunk | None:
        """Give what is to be sent of a chunk; None when nothing is."""
        texts = Texts(chunk.lines.messages)
        kept = self._note("filter", chunk, self._filter.apply(chunk, group, texts))
        if kept is not None and self._sampler is not None:
            kept = self._note("sample", kept, self._sampler.apply(kept))
        if kept is not None and self._bucket is not None and self._drops:
            kept = self._note("rate_limit", kept, self._bucket.apply(kept))
        if kept is None:
            return None
        if self._redactor:
            same = kept.lines is chunk.lines
            kept, changed = self._redactor.apply(
                kept, texts if same else Texts(kept.lines.messages)
            )
            self._counts["redact"] += changed
        kept = self._namer.apply(kept)
        if self._template is not None:
            kept, failed = self._template.apply(kept)
            self._counts["template"] += failed
        return kept

    def apply_metrics(self, chunk: MetricChunk, group: str) -> MetricChunk | None:
        """Give what is to be sent of a chunk of samples; None when nothing is."""
        kept = self._note("filter", chunk, self._filter.apply_metrics(chunk, group))
        if kept is not None and self._sampler is not None:
            kept = self._note("sample", kept, self._sampler.apply_metrics(kept))
        if kept is not None and self._bucket is not None and self._drops:
            kept = self._note("rate_limit", kept, self._bucket.apply(kept))
        if kept is None:
            return None
        if self._redactor:
            kept, changed = self._redactor.apply_metrics(kept)
            self._counts["redact"] += changed
        return self._namer.apply_metrics(kept)

    @property
    def most_at_once(self) -> int | None:
        """How many lines the rate limit lets go together; None where nothing waits for it."""
        return None if self._bucket is None or self._drops else self._bucket.most

    def delay(self, lines: int) -> float:
        """Take so many lines from the rate limit; give the seconds to wait before they may go.

        0 where there is no limit, or it drops.
        """
        if self._bucket is None or self._drops:
            return 0.0
        return self._bucket.delay(lines)

    def take_counts(self) -> dict[str, int]:
        """Give how many lines were left out or changed since the last call, by step.

        Steps: `filter`, `sample`, `rate_limit` (left out), `redact`, `template` (too long or
        failed, and sent as it was). A step that did nothing is not there.
        """
        counts = {step: count for step, count in self._counts.items() if count}
        self._counts.clear()
        return counts

    def _note(self, step: str, before: AnyChunk, after: AnyChunk | None) -> AnyChunk | None:
        """Count what a step left out."""
        if after is not before:
            self._counts[step] += len(before) - (0 if after is None else len(after))
        return after
