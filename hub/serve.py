"""`isaax serve`: the hub in a process of its own, until a signal tells it to end."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog

from hub.control import listening
from hub.process import Prepared
from hub.supervisor import Supervisor

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


async def serve(prepared: Prepared, config: Path | None = None) -> bool:
    """Run the hub until SIGTERM or SIGINT; a second one ends it without draining.

    Args:
        config: its file; with one, `isaax plugins` can tell it of changes.

    Returns:
        Whether everything was drained in order.

    Raises:
        StartError, ServiceDied: as `hub.registry.run`.
    """
    stop = asyncio.Event()
    supervisor = Supervisor(config, prepared)
    async with listening(config, supervisor.handle):
        with _until_signal(stop):
            drained = await supervisor.run(stop=stop)
    if drained.stuck:  # they would hold up the end of the loop for ever
        os._exit(1)
    return drained.clean


@contextmanager
def _until_signal(stop: asyncio.Event) -> Iterator[None]:
    log: structlog.stdlib.BoundLogger = structlog.get_logger("hub.process")
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            log.warning("ending at once", signal=number.name)
            os._exit(1)
        log.info("draining", signal=number.name)
        stop.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
