"""Plugins: found, allowed, isolated; a broken one is named and disabled, nothing else suffers."""

import pytest

from hub import Call, Reply, Route, Service, hookimpl, hookspecs
from hub.declarations import KINDS
from hub.plugins import Plugin, PluginHost
from tests.fixtures.plugins import Install

GOOD = """
from contextlib import asynccontextmanager
from hub import Service, hookimpl

@asynccontextmanager
async def start():
    yield

@hookimpl
def isaax_services():
    return [Service("NAME", start)]
"""


def good(name: str) -> str:
    return GOOD.replace("NAME", name)


def by_name(host: PluginHost) -> dict[str, Plugin]:
    return {plugin.name: plugin for plugin in host.plugins}


def test_a_strangers_plugin_is_active_when_the_config_allows_it(install: Install) -> None:
    points = install("isaax-weather", version="2.1", weather=good("weather"))
    host = PluginHost.load(["weather"], points=points)
    assert host.plugins == (
        Plugin("weather", "isaax-weather", "2.1", "active", "", ("service weather",)),
    )
    service = host.services["weather"]
    assert isinstance(service, Service)
    assert host.plugin_of(service) == "weather"


def test_an_installed_plugin_is_found_beside_our_own(install: Install) -> None:
    install("isaax-weather", weather=good("weather"))
    host = PluginHost.load(["weather"])
    assert by_name(host)["weather"].status == "active"
    assert by_name(host)["core"].distribution == "isaax"
    assert {"weather", "relay", "gateway"} <= host.services.keys()


def test_a_strangers_plugin_is_not_even_imported_without_permission(install: Install) -> None:
    points = install("isaax-weather", weather="raise SystemError('imported')")
    (plugin,) = PluginHost.load(points=points).plugins
    assert plugin.status == "not allowed"
    assert plugin.reason == 'hub.plugins in the config does not list "weather"'


def test_our_own_plugins_need_no_permission(install: Install) -> None:
    points = install("isaax", projects=good("projects"))
    assert PluginHost.load(points=points).services.keys() == {"projects"}


def test_what_is_allowed_and_not_installed_is_named(install: Install) -> None:
    (plugin,) = PluginHost.load(["wether"], points=[]).disabled
    assert (plugin.name, plugin.reason) == ("wether", "it is not installed")


BROKEN = {
    "import error": (
        "import a_module_that_is_missing",
        "failed: ModuleNotFoundError: No module named 'a_module_that_is_missing'",
    ),
    "syntax error": ("def (", "failed: SyntaxError"),
    "exit": ("raise SystemExit(3)", "failed: SystemExit: 3"),
    "raises": (
        "from hub import hookimpl\n@hookimpl\ndef isaax_services():\n    raise KeyError('x')",
        "isaax_services failed: KeyError: 'x'",
    ),
    "async": (
        "from hub import hookimpl\n@hookimpl\nasync def isaax_services():\n    return []",
        "isaax_services is `async def`; a hook is a plain `def`",
    ),
    "misspelt": (
        "from hub import hookimpl\n@hookimpl\ndef isaax_service():\n    return []",
        "isaax_service is not a hook; did you mean isaax_services?",
    ),
    "misspelt beyond recognition": (
        "from hub import hookimpl\n@hookimpl\ndef isaax_qqq():\n    return []",
        "isaax_qqq is not a hook (hooks: isaax_account_data, isaax_authenticators,",
    ),
    "not marked": ("def isaax_services():\n    return []", "isaax_services lacks @hookimpl"),
    "misspelt and not marked": (
        "def isaax_routs():\n    return []",
        "isaax_routs is not a hook; did you mean isaax_routes?",
    ),
    "takes arguments": (
        "from hub import hookimpl\n@hookimpl\ndef isaax_services(x):\n    return []",
        "Argument(s) {'x'} are declared in the hookimpl but can not be found",
    ),
    "no list": (
        "from hub import hookimpl\n@hookimpl\ndef isaax_services():\n    return 5",
        "isaax_services returned int, not a list of Service",
    ),
    "returns nothing": (
        "from hub import hookimpl\n@hookimpl\ndef isaax_services():\n    pass",
        "isaax_services returned NoneType, not a list of Service",
    ),
    "a generator": (
        "from hub import hookimpl\n@hookimpl\ndef isaax_services():\n    yield",
        "isaax_services returned generator, not a list of Service",
    ),
    "wrong items": (
        "from hub import hookimpl\n@hookimpl\ndef isaax_services():\n    return ['x']",
        "isaax_services returned a list with str in it, not Service",
    ),
    "a bad name": (good("Not A Name"), "service Not A Name: a name is lower-case letters"),
    "start is a coroutine": (
        good("x").replace("@asynccontextmanager\n", "").replace("yield", "pass"),
        "service x: `start` is an async context manager: decorate it @asynccontextmanager",
    ),
    "start lacks its decorator": (
        good("x").replace("@asynccontextmanager\n", ""),
        "service x: `start` lacks its decorator @asynccontextmanager",
    ),
    "twice the same": (
        good("x").replace("[Service", "2 * [Service"),
        "service x is declared twice",
    ),
    "somebody else's": (good("able"), "service able is declared by able already"),
    "the hub's own section": (
        """
import msgspec
from hub import ConfigSection, hookimpl

class Mine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    x: int = 1

@hookimpl
def isaax_config():
    return [ConfigSection("nats", Mine)]
""",
        "section nats: this section belongs to the hub",
    ),
    "a section without a default": (
        """
import msgspec
from hub import ConfigSection, hookimpl

class Mine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    x: int

@hookimpl
def isaax_config():
    return [ConfigSection("mine", Mine)]
""",
        "section mine: field `x` has no default",
    ),
    "a section that cannot be described": (
        """
import msgspec
from hub import ConfigSection, hookimpl

class Mine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    x: complex = 1j

@hookimpl
def isaax_config():
    return [ConfigSection("mine", Mine)]
""",
        "section mine: complex cannot be written as JSON",
    ),
    "a section that takes anything": (
        """
import msgspec
from hub import ConfigSection, hookimpl

class Mine(msgspec.Struct):
    x: int = 1

@hookimpl
def isaax_config():
    return [ConfigSection("mine", Mine)]
""",
        "section mine: Mine lacks frozen=True, forbid_unknown_fields=True",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_disabled_with_its_reason(install: Install, case: str) -> None:
    source, reason = BROKEN[case]
    install("isaax-a", able=good("able"))
    points = install("isaax-b", broken=source, zealous=good("zealous"))
    host = PluginHost.load(["broken", "able", "zealous"], points=points)
    (broken,) = host.disabled
    assert (broken.name, broken.distribution) == ("broken", "isaax-b")
    assert reason in broken.reason
    assert host.services.keys() == {"able", "zealous"}
    assert host.config_sections == ()


def test_a_plugin_counts_whole_or_not_at_all(install: Install) -> None:
    source = good("half") + "\n@hookimpl\ndef isaax_routes():\n    return 5\n"
    points = install("isaax-b", half=source)
    host = PluginHost.load(["half"], points=points)
    assert len(host.disabled) == 1
    assert not host.services


def test_no_other_distribution_can_take_the_name_of_a_plugin_of_ours(install: Install) -> None:
    install("aaa", projects=good("evil"))
    points = install("isaax", projects=good("projects"))
    host = PluginHost.load(["projects"], points=points)
    assert host.services.keys() == {"projects"}
    assert by_name(host)["projects (aaa)"].reason == "its name is taken by isaax"
    other = PluginHost.load([], points=points)
    assert by_name(other)["projects"].status == "active"
    assert by_name(other)["projects (aaa)"].status == "not allowed"


def test_a_reason_shows_no_secret(install: Install) -> None:
    points = install("isaax-b", broken="raise ValueError('nats://me:hunter2@localhost')")
    (plugin,) = PluginHost.load(["broken"], points=points).disabled
    assert "hunter2" not in plugin.reason


def test_hooks_are_called_once() -> None:
    calls: list[str] = []

    class Once:
        @hookimpl
        def isaax_services(self) -> list[Service]:
            calls.append("isaax_services")
            return []

    host = PluginHost.of({"once": Once()})
    assert (dict(host.services), dict(host.services)) == ({}, {})
    assert calls == ["isaax_services"]


async def answer(_call: Call[None, None]) -> Reply:
    return Reply()


def test_paths_that_differ_by_their_parameters_names_clash() -> None:
    class Doubled:
        @hookimpl
        def isaax_routes(self) -> list[Route[None, None]]:
            return [
                Route(
                    method="GET", path=path, summary="s", tag="t", handler=answer, permission=None
                )
                for path in ("/x/{a}", "/x/{b}")
            ]

    (disabled,) = PluginHost.of({"doubled": Doubled()}).disabled
    assert disabled.reason == "route GET /x/{} is declared twice"
    assert disabled.provides == ("route GET /x/{}", "route GET /x/{}")


def test_what_nobody_declared_has_no_plugin() -> None:
    host = PluginHost.of({})
    with pytest.raises(LookupError):
        host.plugin_of(Service("x", start=lambda: None))  # type: ignore[arg-type, return-value]


def test_there_is_a_kind_for_every_hook() -> None:
    hooks = {name for name in vars(hookspecs) if name.startswith("isaax_")}
    assert {kind.hook for kind in KINDS} == hooks
