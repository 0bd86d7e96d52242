"""One hub process: configured, plugged together, served until a signal tells it to end."""

import asyncio
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from hub import registry, telemetry
from hub.config import CORE, Source
from hub.parts import PARTS
from hub.plugins import PluginHost
from hub.services import ConfigSection
from hub.settings import HubSettings, Settings

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_HUB: Final = next(section for section in CORE if section.struct is HubSettings)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A process that could start.

    Args:
        source: where the settings come from, for showing them.
    """

    source: Source
    settings: Settings
    plugins: PluginHost

    @property
    def sections(self) -> tuple[ConfigSection, ...]:
        """Every section of the config, the core's first."""
        return (*CORE, *self.plugins.config_sections)


def prepare(config: Path | None, environ: Mapping[str, str], *, quiet: bool = False) -> Prepared:
    """Read the config, set up logs, load plugins, and check the config against all of them.

    Args:
        config: `hub.toml`; None for defaults and environment alone.
        quiet: leave logs as they are, and log nothing.

    Raises:
        ConfigError: the config is not valid.
    """
    source = Source.read(config, environ)
    hub = _hub_settings(source)
    if not quiet:
        telemetry.configure(level=hub.log_level, format=hub.log_format)
    plugins = PluginHost.load(hub.plugins, quiet=quiet)
    settings = source.settings(
        plugins.config_sections,
        # What a plugin that is disabled would know must not stop the others.
        ignore=[plugin.name for plugin in plugins.disabled],
    )
    return Prepared(source, settings, plugins)


def allowed_plugins(config: Path | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Give the plugins that the config allows, whatever else is in it; as `prepare`."""
    return _hub_settings(Source.read(config, environ)).plugins


def _hub_settings(source: Source) -> HubSettings:
    section = source.section(_HUB)
    if not isinstance(section, HubSettings):
        raise TypeError("a section is of its own type")
    return section


async def serve(prepared: Prepared) -> bool:
    """Run the hub until SIGTERM or SIGINT; a second one ends it without draining.

    Returns:
        Whether everything was drained in order.

    Raises:
        StartError, ServiceDied: as `hub.registry.run`.
    """
    stop = asyncio.Event()
    with _until_signal(stop):
        drained = await registry.run(prepared.settings, prepared.plugins, parts=PARTS, stop=stop)
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
