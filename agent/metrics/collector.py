"""Asks the sensors, each in a thread of its own, so that one that hangs holds up nothing."""

import logging
import threading
import time
from collections.abc import Mapping

from agent.metrics.queue import SampleQueue
from agent.metrics.readings import samples_of
from agent.metrics.sensors import Sensor

log = logging.getLogger(__name__)


class Collector:
    """The types that are on, collected every `interval` seconds; all are off at first."""

    def __init__(
        self, sensors: Mapping[str, Sensor], queues: Mapping[str, SampleQueue], interval: float
    ) -> None:
        self._meters = {
            kind: _Meter(kind, sensor, queues[kind], interval) for kind, sensor in sensors.items()
        }

    @property
    def on(self) -> frozenset[str]:
        """Give the types that are on."""
        return frozenset(kind for kind, meter in self._meters.items() if meter.is_on)

    def switch(self, types: frozenset[str]) -> None:
        """Have these types collected and no others, from now on; from one thread at a time."""
        changed = types & self._meters.keys() ^ self.on
        for kind in changed:
            self._meters[kind].switch(on=kind in types)
        if changed:
            shown = ", ".join(sorted(self.on)) or "none"
            log.info("metrics that are collected: %s", shown)

    def close(self) -> None:
        """Collect nothing more. A sensor that hangs is left alone: its thread ends with us."""
        for meter in self._meters.values():
            meter.close()


class _Meter:
    """One type: its sensor, and the thread that asks it, from the first time that it is on."""

    def __init__(self, kind: str, sensor: Sensor, queue: SampleQueue, interval: float) -> None:
        self.is_on = False
        self._kind = kind
        self._sensor = sensor
        self._queue = queue
        self._interval = interval
        self._changed = threading.Event()
        self._closed = False
        self._error = ""
        self._thread: threading.Thread | None = None

    def switch(self, *, on: bool) -> None:
        self.is_on = on
        self._changed.set()
        if on and self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name=f"metric.{self._kind}", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        self._closed = True
        self.is_on = False
        self._changed.set()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._closed:
            timeout = max(0.0, due - time.monotonic()) if self.is_on else None
            if self._changed.wait(timeout):
                self._changed.clear()
                due = time.monotonic()  # it was switched on just now, or off
                continue
            self._collect()
            due = max(due + self._interval, time.monotonic())

    def _collect(self) -> None:
        try:
            samples = samples_of(self._sensor())
        except Exception as error:  # noqa: BLE001 - whatever it is, it concerns this type alone
            self._failed(f"{type(error).__name__}: {error}")
            return
        if self._error:
            log.info("metric.%s can be read again", self._kind)
            self._error = ""
        if self.is_on:  # it may have been switched off while the sensor was asked
            self._queue.put(samples)

    def _failed(self, error: str) -> None:
        if error != self._error:
            log.error("metric.%s cannot be read: %s", self._kind, error)
        self._error = error
