"""The suites that destinations pass: `DestinationConformance` and `MetricConformance`.

    class TestMine(DestinationConformance):
        type = my_destination_type

That is all it takes: the first of the type's `examples` is tried against a `Loopback`. A class
whose destination speaks a protocol of its own, or with a server that wants more than an answer,
gives a `receiver`.
"""

import math
from typing import Any, Final

import pytest

from hub.batches import Batch, MetricBatch
from hub.destinations import Tools
from hub.outcomes import Partial, Rejected
from hub.testing.batches import make_batch, make_chunk, make_metric_chunk
from hub.testing.receiver import Receiver, deliver, eventually
from hub.testing.suite import Conformance

ODD_LINES: Final = (
    "",
    " ",
    "two\nlines",
    "carriage\r\nreturn",
    "a\0nul",
    "\x1b[31mred\x1b[0m and a bell \x07",
    "größer 温度 🌡️",
    "<13>1 - - - - - - looks like syslog",
    '{"looks": "like json"',
    "\ufeffbyte order mark",
    "%s %n ${jndi} `id`",
)


ODD_VALUES: Final = (0.0, -0.0, -1.5, 1e308, 5e-324, float(2**53), math.pi)


class DestinationConformance(Conformance[Batch]):
    """Every destination of log lines passes these; subclass it and name the type."""

    def make(self, config: Any, tools: Tools) -> Any:
        """Make the destination of lines."""
        assert self.type.build is not None, "it takes metrics alone: use MetricConformance"
        return self.type.build(config, tools)

    def batch(self, *texts: str) -> Batch:
        """Make a batch of these lines."""
        return make_batch(*texts)

    async def test_lines_arrive_in_order(self) -> None:
        """All lines of several batches and chunks arrive, in order, and closing confirms it."""
        words = ["one", "two", "three", "four"]
        one, two, three, four = map(self.text, words)
        more = Batch("batch-2", (make_chunk([three], first=3), make_chunk([four], device="dev_b")))
        async with self.receiver() as receiver, self.built(receiver.config) as destination:
            await destination.send(make_batch(one, two))
            await destination.send(more)
            await destination.close()
            await eventually(lambda: len(receiver.taken()) >= 4, "all lines arrived")
            taken = receiver.taken()
            assert sorted(taken) == sorted(words), f"each line is to arrive once: {taken}"
            # Each device's lines have an order; there is none between two devices.
            assert [word for word in taken if word != "four"] == words[:3], taken

    @pytest.mark.parametrize("odd", ODD_LINES, ids=range(len(ODD_LINES)))
    async def test_an_odd_line_harms_no_other(self, odd: str) -> None:
        """Newlines, NUL, nothing at all, …: the neighbours arrive whole."""
        async with self.receiver() as receiver, self.built(receiver.config) as destination:
            await self._send_between(destination, receiver, odd)

    async def test_an_oversized_line_harms_no_other(self) -> None:
        """A line of a megabyte is taken, cut or refused; the others arrive."""
        async with self.receiver() as receiver, self.built(receiver.config) as destination:
            await self._send_between(destination, receiver, "é" * 500_000)

    async def _send_between(self, destination: Any, receiver: Receiver, odd: str) -> None:
        before, after, last = map(self.text, ("before", "after", "last"))
        refused: set[int] = set()
        try:
            await destination.send(make_batch(before, odd, after))
        except Partial as partial:
            refused = {index for index, _ in partial.rejected}
        except Rejected:
            await deliver(destination, make_batch(before, after))
        assert refused <= {1}, f"lines were refused that nothing is wrong with: {refused}"
        await deliver(destination, make_batch(last))
        await destination.close()
        await eventually(lambda: "last" in receiver.taken(), "the line after it arrived")
        taken = receiver.taken()
        assert [line for line in taken if line in {"before", "after", "last"}] == [
            "before", "after", "last",
        ]  # fmt: skip
        assert len(taken) <= 4


class MetricConformance(Conformance[MetricBatch]):
    """Every destination of metrics passes these; subclass it and name the type.

    A text stands in the label `mark` of its sample.
    """

    def make(self, config: Any, tools: Tools) -> Any:
        """Make the destination of metrics."""
        assert self.type.metrics is not None, "it takes no metrics: use DestinationConformance"
        return self.type.metrics(config, tools)

    def batch(self, *texts: str) -> MetricBatch:
        """Make a batch of samples with these texts."""
        return self.samples(*((text, float(number)) for number, text in enumerate(texts)))

    def samples(self, *marked: tuple[str, float], id: str = "batch-1") -> MetricBatch:  # noqa: A002
        """Make a batch of samples with these texts and values."""
        values = [value for _, value in marked]
        return MetricBatch(
            id, (make_metric_chunk(values, labels=[{"mark": text} for text, _ in marked]),)
        )

    async def test_samples_arrive(self) -> None:
        """All samples of several batches arrive, each once, and closing confirms it."""
        words = ["one", "two", "three"]
        async with self.receiver() as receiver, self.built(receiver.config) as destination:
            await destination.send(self.batch(*map(self.text, words[:2])))
            await destination.send(self.batch(self.text(words[2])))
            await destination.close()
            await eventually(lambda: len(receiver.taken()) >= 3, "all samples arrived")
            assert sorted(receiver.taken()) == sorted(words)

    @pytest.mark.parametrize("odd", ODD_VALUES)
    async def test_an_odd_value_harms_no_other(self, odd: float) -> None:
        """Zeros, the largest and the smallest number: the neighbours arrive."""
        await self._is_harmless(self.text("odd"), odd)

    @pytest.mark.parametrize(
        "odd", ["", " ", "two\nlines", '"quoted", \\ = and, more', "größer 温度 🌡️", "x" * 10_000]
    )
    async def test_an_odd_label_harms_no_other(self, odd: str) -> None:
        """Empty, quoted, of many lines, long: the neighbours arrive."""
        await self._is_harmless(odd, 1.0)

    async def _is_harmless(self, text: str, value: float) -> None:
        before, after = self.text("before"), self.text("after")
        async with self.receiver() as receiver, self.built(receiver.config) as destination:
            try:
                await destination.send(self.samples((before, 1.0), (text, value), (after, 2.0)))
            except Partial as partial:
                refused = {index for index, _ in partial.rejected}
                assert refused <= {1}, f"samples were refused without a reason: {refused}"
            except Rejected:
                await deliver(destination, self.samples((before, 1.0), (after, 2.0)))
            await destination.close()
            await eventually(
                lambda: {"before", "after"} <= set(receiver.taken()), "its neighbours arrived"
            )
