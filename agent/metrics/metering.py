"""The metrics of this device as a whole: the collector, and the way of each type to the hub."""

from collections.abc import Callable, Mapping
from typing import Any

from agent.metrics.collector import Collector
from agent.metrics.queue import SampleBatcher, SampleQueue
from agent.metrics.readings import missing_samples
from agent.metrics.sensors import Sensor, sensors
from agent.sender import Sender
from agent.settings import MetricsConfig
from agent.spool import Spool
from agent.spooler import Feed
from agent.state import StateFolder
from hub.protocol import METRICS


class Metering:
    """The metrics of this device: the types that the configuration has on, and those of `switch`.

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
        self._switched: frozenset[str] = frozenset()
        self._started = False

    def start(self) -> None:
        """Begin to collect."""
        self._started = True
        self.switch(self._switched)

    def switch(self, types: frozenset[str]) -> None:
        """Collect these types besides those of the configuration, from now on; or from `start` on.

        From one thread at a time.
        """
        self._switched = types
        if self._started:
            self._collector.switch(self._config.types | types)

    @property
    def on(self) -> frozenset[str]:
        """Give the types that are collected."""
        return self._collector.on

    def close(self) -> None:
        """Collect nothing more."""
        self._collector.close()
