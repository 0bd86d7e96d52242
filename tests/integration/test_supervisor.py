"""A hub that runs takes plugins in, or starts anew; what fails leaves it as it was."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from hub.authoring.allow import allow, forbid
from hub.control import Ask, Told
from hub.process import prepare
from hub.registry import Drained
from hub.supervisor import Supervisor
from tests.fixtures.plugins import Install

DESTINATION = """
import msgspec
from hub import DestinationType, hookimpl

class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str = "VERSION"

class Mine:
    def __init__(self, config, tools): ...
    async def send(self, batch): ...
    async def close(self): ...

@hookimpl
def isaax_destinations():
    return [DestinationType("NAME", "Mine", Config, Mine, summary="VERSION")]
"""

SERVICE = """
from contextlib import asynccontextmanager
from hub import Service, hookimpl

@asynccontextmanager
async def start():
    BEFORE
    yield

@hookimpl
def isaax_services():
    return [Service("NAME", start)]
"""


def destination(name: str, version: str = "1") -> str:
    return DESTINATION.replace("NAME", name).replace("VERSION", version)


def service(name: str, before: str = "pass") -> str:
    return SERVICE.replace("NAME", name).replace("BEFORE", before)


def rewrite(distribution: Distribution, file: str, text: str) -> None:
    Path(str(distribution.locate_file(file))).write_text(text)


class Hub:
    """A hub without a service, supervised."""

    def __init__(self, config: Path, supervisor: Supervisor) -> None:
        self.config = config
        self.supervisor = supervisor

    async def reload(self, *changed: str) -> Told:
        return await self.supervisor.handle(Ask("reload", changed))

    @property
    def types(self) -> set[str]:
        return set(self.supervisor.plugins.destinations)


StartHub = Callable[[], Awaitable[Hub]]


@pytest.fixture
async def hub(install: Install, tmp_path: Path) -> AsyncIterator[Hub]:
    config = tmp_path / "hub.toml"
    config.write_text("[hub]\nservices = []\n")
    supervisor = Supervisor(config, prepare(config, os.environ, quiet=True))
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(supervisor.run(stop=stop, ready=ready))
    await ready.wait()
    yield Hub(config, supervisor)
    stop.set()
    assert await running == Drained()


async def test_a_new_destination_is_taken_in_as_the_hub_runs(hub: Hub, install: Install) -> None:
    changes: list[int] = []
    host = hub.supervisor.plugins
    install("isaax-rain", rain=destination("rain"))
    assert (await hub.reload()).outcome == "unchanged"
    allow(hub.config, "rain")
    with host.watched(lambda: changes.append(1)):
        told = await hub.reload()
    assert (told.outcome, told.detail) == ("loaded", "rain")
    assert "rain" in hub.types
    assert hub.supervisor.plugins is host
    assert changes == [1]
    assert (await hub.reload()).outcome == "unchanged"


async def test_what_is_no_longer_allowed_is_gone_after_a_new_start(
    hub: Hub, install: Install
) -> None:
    install("isaax-rain", rain=destination("rain"))
    allow(hub.config, "rain")
    await hub.reload()
    forbid(hub.config, "rain")
    told = await hub.reload()
    assert told.outcome == "restarted"
    assert "rain" not in hub.types
    assert {one.name: one.status for one in told.plugins}["rain"] == "not allowed"


async def test_changed_code_is_loaded_by_a_new_start(hub: Hub, install: Install) -> None:
    (point,) = install("isaax-rain", rain=destination("rain"))
    allow(hub.config, "rain")
    await hub.reload()
    assert point.dist is not None
    rewrite(point.dist, "isaax_rain_rain.py", destination("rain", "a second version"))
    assert (await hub.reload()).outcome == "unchanged"
    assert (await hub.reload("rain")).outcome == "restarted"
    assert hub.supervisor.plugins.destinations["rain"].summary == "a second version"


async def test_a_service_takes_a_new_start(hub: Hub, install: Install) -> None:
    install("isaax-fog", fog=service("fog"))
    allow(hub.config, "fog")
    told = await hub.reload()
    assert (told.outcome, told.detail) == ("restarted", "fog: it provides the service fog")
    assert "fog" in hub.supervisor.plugins.services


async def test_what_cannot_be_loaded_is_told_and_harms_nothing(hub: Hub, install: Install) -> None:
    install("isaax-rain", rain=destination("rain"))
    install("isaax-hail", hail="import a_module_that_is_missing")
    allow(hub.config, "rain", "hail")
    told = await hub.reload()
    assert told.outcome == "failed"
    assert "hail: importing isaax_hail_hail failed: ModuleNotFoundError" in told.detail
    assert "rain" in hub.types


async def test_a_config_that_is_not_valid_is_told(hub: Hub) -> None:
    hub.config.write_text("[hub]\nplugins = 3\n")
    told = await hub.reload()
    assert told.outcome == "failed"
    assert "hub.plugins" in told.detail


async def test_a_start_that_fails_is_undone(hub: Hub, install: Install) -> None:
    before = hub.supervisor.plugins
    install("isaax-fog", fog=service("fog", 'raise OSError("no fog today")'))
    hub.config.write_text('[hub]\nservices = ["fog"]\nplugins = ["fog"]\n')
    told = await hub.reload()
    assert told.outcome == "failed"
    assert "no fog today" in told.detail
    assert hub.supervisor.plugins is before


async def test_a_plugin_that_is_stopped_is_told_of(hub: Hub, install: Install) -> None:
    install("isaax-rain", rain=destination("rain"))
    allow(hub.config, "rain")
    await hub.reload()
    host = hub.supervisor.plugins
    host.disable("rain", "it blocked the hub 3 times")
    assert "rain" not in hub.types
    assert host.why_without("rain") == ("the plugin rain is disabled: it blocked the hub 3 times")
    told = await hub.supervisor.handle(Ask("status"))
    (state,) = [one for one in told.plugins if one.name == "rain"]
    assert (state.status, state.reason) == ("disabled", "it blocked the hub 3 times")
    assert (await hub.reload("rain")).outcome == "restarted"
    assert "rain" in hub.types
