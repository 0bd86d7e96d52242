"""One hub process, before it starts: configured, and plugged together."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub import telemetry
from hub.config import CORE, Source
from hub.errors import StartError
from hub.plugins import PluginHost
from hub.services import ConfigSection
from hub.settings import HubSettings, Settings

_HUB: Final = next(section for section in CORE if section.struct is HubSettings)


RUNNING: Final = "running.toml"
"""What `isaax up` writes into its data folder, while it runs, for commands of the same machine."""


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


def at_terminal(config: Path | None, environ: Mapping[str, str]) -> Settings:
    """Give the settings of the hub that a command of its own machine is about.

    Args:
        config: its file. Without one it is what `ISAAX_CONFIG` names, or ./hub.toml, or what the
            hub of `isaax up` says that runs here.

    Raises:
        ConfigError: the config is not valid.
    """
    if config is None:
        known = (Path(environ.get("ISAAX_CONFIG") or "hub.toml"), default_data() / RUNNING)
        config = next((path for path in known if path.is_file()), None)
    return prepare(config, environ, quiet=True).settings


def default_data() -> Path:
    """Give the folder that `isaax up` keeps everything in, when nothing else is said.

    Raises:
        StartError: there is no home folder.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/isaax")
    try:
        return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "isaax"
    except RuntimeError:
        raise StartError("there is no home folder to keep data in: give --data DIR") from None


def allowed_plugins(config: Path | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Give the plugins that the config allows, whatever else is in it; as `prepare`."""
    return _hub_settings(Source.read(config, environ)).plugins


def _hub_settings(source: Source) -> HubSettings:
    section = source.section(_HUB)
    if not isinstance(section, HubSettings):
        raise TypeError("a section is of its own type")
    return section
