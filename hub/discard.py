"""What takes the lines, or samples, of an integration whose config says not to send them."""

from hub.batches import Batch, MetricBatch


class Discard:
    """Takes everything and sends nothing."""

    async def send(self, batch: Batch | MetricBatch) -> None:
        """Take one batch."""

    async def close(self) -> None:
        """Nothing is held."""
