"""Installs and removes plugins, with the allow-list and the hub that runs kept in line."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from hub.authoring import packages
from hub.authoring.allow import allow, forbid, restore
from hub.authoring.probe import Probed
from hub.control import Ask, Told, ask
from hub.errors import PluginError
from hub.plugins import OWN

_PROBE: Final = 60.0  # seconds that loading a plugin may take


@dataclass(frozen=True, slots=True)
class Done:
    """What was done.

    Args:
        distribution, version: that was installed or removed.
        plugins: that it brings.
        told: what the hub that runs made of it; None where none runs.
    """

    distribution: str
    version: str
    plugins: tuple[str, ...]
    told: Told | None


def install(spec: str, config: Path) -> Done:
    """Install a plugin from PyPI, a wheel or a folder, allow it, and tell the hub.

    When any of it fails, all is as it was before.

    Raises:
        PluginError, ConfigError, Unavailable: what failed.
    """
    packages.check_environment()
    _check_place(config)
    _check_hub(ask(config, Ask("status")))
    spec = str(Path(spec).resolve()) if _is_path(spec) else spec
    found = packages.look_up(spec)
    if packages.canonical(found.name) == OWN:
        raise PluginError(f"{found.name} is the hub itself; it is installed as a whole")
    before = set(packages.plugins_of(found.name))
    with packages.put_back(found.name):
        packages.install(spec, found.name)
        names = packages.plugins_of(found.name)
        if not names:
            raise PluginError(
                f"{found.name} is no plugin: its pyproject.toml has no [project.entry-points.isaax]"
            )
        _check_loads(found.name, names)
        text = config.read_bytes() if config.exists() else None
        allow(config, *names)
        try:
            told = ask(config, Ask("reload", tuple(sorted(before & set(names)))))
            if told is not None and told.outcome == "failed":
                raise PluginError(f"the hub cannot run with it: {told.detail}")
        except BaseException:
            restore(config, text)
            raise
    return Done(found.name, found.version, tuple(names), told)


def uninstall(name: str, config: Path) -> Done:
    """Take a plugin off the hub that runs and off the allow-list, and remove its package.

    Args:
        name: of the plugin, or of its distribution.

    Raises:
        PluginError, ConfigError, Unavailable: what failed.
    """
    packages.check_environment()
    distribution = packages.distribution_of(name) or name
    version, names = packages.version_of(distribution), packages.plugins_of(distribution)
    if version is None or not names:
        forbid(config, name)  # what is not there need not be allowed
        raise PluginError(f"no plugin {name} is installed")
    if packages.canonical(distribution) == OWN:
        raise PluginError(f"{name} is a part of the hub; what is not used costs nothing")
    forbid(config, *names)
    told = ask(config, Ask("reload"))
    packages.uninstall([distribution])
    return Done(distribution, version, tuple(names), told)


def _is_path(spec: str) -> bool:
    return os.sep in spec or spec.endswith(".whl") or Path(spec).is_dir()


def _check_place(config: Path) -> None:
    if not config.resolve().parent.is_dir():
        raise PluginError(
            f"there is no hub in {config.parent}: say which one is meant by --data FOLDER "
            "(of isaax up) or --config FILE"
        )


def _check_hub(told: Told | None) -> None:
    if told is not None and told.prefix != sys.prefix:
        raise PluginError(
            f"the hub that runs has another Python environment, {told.prefix}: use "
            f"{told.prefix}/bin/isaax"
        )


def _check_loads(distribution: str, names: list[str]) -> None:
    """Load it in a process of its own: what it does there harms nobody.

    Raises:
        PluginError: it cannot be loaded; with the reason.
    """
    done = packages.run_module("hub.authoring.probe", *names, seconds=_PROBE)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
        raise PluginError(f"{distribution} ends the process that loads it: {last}")
    probed = msgspec.json.decode(done.stdout.encode(), type=list[Probed])
    for one in probed:
        ours = packages.canonical(one.distribution) == packages.canonical(distribution)
        if ours and one.status == "disabled":
            raise PluginError(f"{one.name}: {one.reason}")
    loaded = {one.name for one in probed if one.status == "active"}
    if not loaded >= set(names):
        raise PluginError(f"not loaded: {', '.join(sorted(set(names) - loaded))}")
