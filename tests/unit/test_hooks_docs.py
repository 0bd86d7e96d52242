"""docs/hooks.md tells every hook as it is, each example works, and each hook is really used."""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from hub import Command, hookspecs, structs
from hub.account_data import (
    Counts,
    Erased,
    Exported,
    OfAccount,
    count_contract,
    erase_contract,
    export_contract,
    in_order,
)
from hub.config import load
from hub.declarations import KINDS
from hub.memory_bus import MemoryBus
from hub.permissions import Permissions, Role
from hub.plugins import PluginHost
from hub.services import ConfigSection

DOCS = Path(__file__).parents[2] / "docs" / "hooks.md"
HOOKS = [name for name in vars(hookspecs) if name.startswith("isaax_")]

# A heading with a signature, and all up to the next heading of its level.
SECTION = re.compile(
    r"^## `(?P<signature>(?P<hook>isaax_\w+)\(.*)`\n(?P<body>(?:(?!^## ).*\n)*)", re.M
)
EXAMPLE = re.compile(r"^```python\n(?P<code>.*?)^```", re.M | re.S)


def sections() -> dict[str, re.Match[str]]:
    return {match["hook"]: match for match in SECTION.finditer(DOCS.read_text())}


@pytest.fixture
def example(request: pytest.FixtureRequest) -> Iterator[PluginHost]:
    """The example of the hook that the test is named after, as a plugin of its own."""
    hook = request.function.__name__.removeprefix("test_")
    code = EXAMPLE.search(sections()[hook]["body"])
    assert code, f"{hook} has no example"
    module = ModuleType("example_of_the_docs")
    sys.modules[module.__name__] = module
    exec(compile(code["code"], f"docs/hooks.md, {hook}", "exec"), vars(module))
    host = PluginHost.of({"example": module})
    assert [plugin.reason for plugin in host.plugins] == [""]
    yield host
    del sys.modules[module.__name__]


def test_every_hook_is_documented_with_its_exact_signature() -> None:
    expected = {}
    for hook in HOOKS:
        text = str(inspect.signature(getattr(hookspecs, hook)))
        expected[hook] = hook + re.sub(r"\b[a-z_]+(?:\.[a-z_]+)*\.(?=[A-Z])", "", text)
    assert {hook: match["signature"] for hook, match in sections().items()} == expected


def test_every_hook_has_one_example() -> None:
    assert {h: len(EXAMPLE.findall(m["body"])) for h, m in sections().items()} == dict.fromkeys(
        HOOKS, 1
    )


def test_every_hook_has_a_test_named_after_it() -> None:
    assert {name for name in globals() if name.startswith("test_isaax_")} == {
        f"test_{hook}" for hook in HOOKS
    }


def test_every_example_imports_the_public_face_alone() -> None:
    for match in EXAMPLE.finditer(DOCS.read_text()):
        imported = re.findall(r"^(?:from|import) (hub[\w.]*)", match["code"], re.M)
        assert imported == ["hub"]


def test_a_destination_takes_less_than_thirty_lines() -> None:
    code = EXAMPLE.search(sections()["isaax_destinations"]["body"])
    assert code
    assert len([line for line in code["code"].splitlines() if line.strip()]) < 30


def test_every_hook_has_a_user_among_our_own_plugins() -> None:
    host = PluginHost.load()
    assert [(plugin.name, plugin.reason) for plugin in host.disabled] == []
    words = {provided.partition(" ")[0] for plugin in host.plugins for provided in plugin.provides}
    assert words == {kind.word for kind in KINDS}


def test_the_examples_of_our_destinations_are_valid() -> None:
    for destination in PluginHost.load().destinations.values():
        for one in destination.examples:
            assert structs.decode(destination.config, one)


# ── one for each hook ─────────────────────────────────────────────────────────────────────────


def test_isaax_destinations(example: PluginHost) -> None:
    post = example.destinations["post"]
    config = structs.decode(post.config, {"url": "https://logs.example", "token": "t"})
    assert structs.public(config)["token"] == "********"
    assert structs.schema(post.config)["$defs"]["Config"]["required"] == ["url", "token"]


async def test_isaax_services(example: PluginHost) -> None:
    from contextlib import asynccontextmanager

    served: list[Any] = []

    class FakeBus:
        @asynccontextmanager
        async def serve(self, service: str, version: str, endpoints: list[Any]) -> Any:
            served.extend(endpoints)
            yield

    service = example.services["weather"]
    async with service.start(bus=FakeBus()):
        (endpoint,) = served
        answer = await endpoint.handler(endpoint.contract.request())
    assert answer.degrees == 21.0


def test_isaax_routes(example: PluginHost) -> None:
    (route,) = example.routes
    assert (route.method, route.path) == ("GET", "/api/v1/weather")
    assert example.plugin_of(route) == "example"


def test_isaax_permissions(example: PluginHost) -> None:
    permissions = Permissions(example.permissions.values())
    assert permissions.allows(Role.VIEWER, "weather:read")
    assert not permissions.allows(Role.BILLING, "weather:read")


async def test_isaax_authenticators(example: PluginHost) -> None:
    station = example.authenticators["station"]
    assert await station.authenticate("wrong", None) is None  # type: ignore[arg-type]


def test_isaax_migrations(example: PluginHost) -> None:
    (migrations,) = example.migrations
    assert (migrations.owner, migrations.after) == ("weather", ())


async def test_isaax_account_data(example: PluginHost) -> None:
    bus, wanted = MemoryBus(), OfAccount("acc_1", [], [])
    (name,) = in_order(example.account_data.values())
    async with example.services[name].start(bus=bus):
        assert await bus.request(count_contract(name), wanted) == Counts({"stations": 1})
        exported = [page async for page in bus.stream(export_contract(name), wanted)]
        assert exported == [Exported("stations", [{"name": "roof"}])]
        assert await bus.request(erase_contract(name), wanted) == Erased({"stations": 1})
        assert await bus.request(erase_contract(name), wanted) == Erased({"stations": 0})


def test_isaax_config(example: PluginHost) -> None:
    (section,) = example.config_sections
    assert isinstance(section, ConfigSection)
    settings = load(None, {"ISAAX_WEATHER_INTERVAL": "2.5"}, example.config_sections)
    assert structs.public(settings.plugins[section.struct]) == {"interval": 2.5, "key": ""}


def test_isaax_commands(example: PluginHost) -> None:
    command = example.commands["weather"]
    assert isinstance(command, Command)
    result = CliRunner().invoke(command.app, ["now"])
    assert (result.exit_code, result.output) == (0, "21 °C\n")
