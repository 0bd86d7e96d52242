"""The metrics of this device as a whole: the collector, and the way of each type to the hub."""

from collections.abc import Callable, Mapping
from typing import Any

from agent.config import MetricsConfig
from agent.metrics.collector import Collector
from agent.metrics.queue import SampleBatcher, SampleQueue
from agent.metrics.readings import missing_samples
from agent.metrics.sensors import Sensor, sensors
from agent.sender import Sender
from agent.spool import Spool
from agent.spooler import Feed
from agent.state import StateFolder
from hub.protocol import METRICS


class Metering:
    """The metrics of this device. Which types are on may change while it runs: `switch`.

    A type that is off has a spool all the same: what it holds is still to be sent.

    Args:
        wake: called when a type has samples for its spool.
        asked: the sensors by type; by default those of psutil.

    Raises:
        OSError: the disk failed.
    """

    def __init__(
        self,
        config: MetricsConfig,
        state: StateFolder,
        wake: Callable[[], None],
        asked: Mapping[str, Sensor] | None = None,
    ) -> None:
        self._config = config
        queues = {kind: SampleQueue(wake) for kind in METRICS}
        self.feeds: list[Feed[Any]] = []
        self.senders: list[Sender] = []
        for kind in METRICS:
            stream = f"metric.{kind}"
            folder = state.spool(stream)
            spool = Spool.open(folder, max_bytes=config.max_bytes, missing=missing_samples)
            self.feeds.append(Feed(stream, queues[kind], spool, SampleBatcher()))
            self.senders.append(Sender(stream, spool, folder))
        asked = sensors(processes=config.processes) if asked is None else asked
        self._collector = Collector(asked, queues, config.interval)

    def switch(self, types: frozenset[str]) -> None:
        """Collect these types, those of the configuration and no others, from now on."""
        self._collector.switch(types | self._config.types)

    def close(self) -> None:
        """Collect nothing more."""
        self._collector.close()
