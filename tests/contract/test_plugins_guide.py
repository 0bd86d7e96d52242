"""The integration in docs/plugins.md works as it stands there, and passes the suite."""

import importlib
import re
import sys
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import msgspec

from hub.destinations import DestinationType
from hub.plugins import PluginHost
from hub.testing import DestinationConformance, Receiver
from tests.fixtures.destinations import HttpRequest, http_receiver

GUIDE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()
CODE = re.findall(r"^```python\n(.*?)^```", GUIDE, re.M | re.S)[0]


def _module() -> ModuleType:
    module = ModuleType("isaax_betterstack")
    sys.modules[module.__name__] = module
    exec(compile(CODE, "docs/plugins.md", "exec"), vars(module))
    return module


EXAMPLE = _module()


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
    names = "Retry Rejected Partial NotConnected Secret Window Stream SyslogFormatter SyslogStream"
    names += " client_tls post make_batch make_chunk DestinationConformance Receiver"
    assert [name for name in names.split() if not (public(name) and name in GUIDE)] == []
