"""All code in docs/plugins.md works as it stands there, and what it tells of is so."""

import importlib
import json
import re
import sys
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import msgspec
import pytest

import hub
from hub.destinations import DestinationType
from hub.plugins import PluginHost
from hub.testing import DestinationConformance, MetricConformance, Receiver, Reply, make_batch
from hub.testing.loopback import Loopback
from tests.fixtures.destinations import HttpRequest, http_receiver

GUIDE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", GUIDE, re.M | re.S)
CODE, LIMITS, PIECES, METRICS, SUITE, ANSWERED, OWN_TEST = BLOCKS


def _module(name: str, code: str, **known: Any) -> ModuleType:
    module = ModuleType(name)
    sys.modules[name] = module
    vars(module).update(known)
    exec(compile(code, "docs/plugins.md", "exec"), vars(module))
    return module


EXAMPLE = _module("isaax_betterstack", CODE)
GAUGES = _module("isaax_gauges", METRICS)
TestAsInTheGuide = _module("guide_suite", SUITE).TestBetterStack
TestAnsweredAsInTheGuide = _module(
    "guide_answered",
    ANSWERED,
    DestinationConformance=DestinationConformance,
    Reply=Reply,
    isaax_destinations=EXAMPLE.isaax_destinations,
).TestBetterStack
test_each_line_has_its_time = _module(
    "guide_own_test",
    OWN_TEST,
    pytest=pytest,
    json=json,
    Retry=hub.Retry,
    Reply=Reply,
    Secret=hub.Secret,
    BetterStack=EXAMPLE.BetterStack,
    Config=EXAMPLE.Config,
).test_each_line_has_its_time


class TestMetrics(MetricConformance):
    """The destination of metrics."""

    type = GAUGES.isaax_destinations()[0]


def _texts(request: HttpRequest) -> list[str]:
    assert request.headers["authorization"] == "Bearer t0p-secret"
    return [line["message"] for line in msgspec.json.decode(request.body)]


class TestTheExample(DestinationConformance):
    """The destination of the guide."""

    type: ClassVar[DestinationType[Any]] = EXAMPLE.isaax_destinations()[0]
    secrets = ("t0p-secret",)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give an HTTP receiver."""
        async with http_receiver(_texts, {"token": "t0p-secret"}) as receiver:
            yield receiver


def test_it_is_as_short_as_it_says() -> None:
    """Lines of code and docstrings, without the blank ones."""
    assert len([line for line in CODE.splitlines() if line.strip()]) <= 30


def test_limits_may_depend_on_the_config() -> None:
    """As the fragment says."""

    class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        every: float

    names = {"DestinationType": DestinationType, "Limits": hub.Limits}
    kind = eval(LIMITS, names | {"Config": Config, "Digest": EXAMPLE.BetterStack})
    assert kind.limits_of(Config(60.0)) == hub.Limits(max_lines=500, linger=60.0)


async def test_pieces_are_cut_and_told_by_line(loopback: Loopback, tools: hub.Tools) -> None:
    """The fragment, as the methods of a class."""
    names = {name: getattr(hub, name) for name in ("Batch", "Piece", "PieceLimits", "push_pieces")}
    module = _module("guide_pieces", PIECES, msgspec=msgspec, **names)
    target = hub.HttpTarget(tools, "https://logs.example.com/in", headers={})
    methods = {"send": module.send, "_push": module._push, "_target": target}
    destination = type("Pieces", (), methods)()
    with pytest.raises(hub.Partial) as partial:
        await destination.send(make_batch("one", "x" * 1_000_001, "two"))
    assert [index for index, _ in partial.value.rejected] == [1]
    (request,) = loopback.requests
    assert [item["text"] for item in json.loads(request.body)] == ["one", "two"]


def test_it_is_a_plugin() -> None:
    """The hub takes it, by the name that the guide lists in `hub.toml`."""
    project = tomllib.loads(re.findall(r"^```toml\n(.*?)^```", GUIDE, re.M | re.S)[0])
    assert project["project"]["entry-points"]["isaax"] == {"betterstack": EXAMPLE.__name__}
    host = PluginHost.of({"betterstack": EXAMPLE})
    assert [plugin.reason for plugin in host.plugins] == [""]
    assert "betterstack" in host.destinations


def test_every_name_that_the_guide_uses_is_public() -> None:
    """What it tells authors to use is in `hub`, or in `hub.testing`."""
    public: Callable[[str], bool] = lambda name: (  # noqa: E731
        hasattr(importlib.import_module("hub"), name)
        or hasattr(importlib.import_module("hub.testing"), name)
    )
    names = "HttpTarget Limits PieceLimits push_pieces MetricBatch MetricConformance Loopback "
    names += "Retry Rejected Partial NotConnected Secret Window Stream SyslogFormatter SyslogStream"
    names += " client_tls post make_batch make_chunk DestinationConformance Receiver"
    assert [name for name in names.split() if not (public(name) and name in GUIDE)] == []
