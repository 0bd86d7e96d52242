"""Any service switched off in the config: the others work, and the API says what is missing."""

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from hub.parts import PARTS
from hub.planning import Unplannable
from hub.plugins import PluginHost
from hub.process import prepare
from hub.registry import steps_of
from hub.settings import HubSettings
from tests.fixtures.ending import Ending, ending, wait
from tests.fixtures.rawdevice import batch
from tests.fixtures.spine import Answer, Spine, running_spine
from tests.fixtures.tenants import OWNED, AnyRoute

ALL: Final = HubSettings().services
PLUGINS: Final = PluginHost.load(quiet=True)

OF_PLUGIN: Final[defaultdict[str, set[tuple[str, str]]]] = defaultdict(set)
"""Routes by the plugin that declares them."""
for _route in PLUGINS.routes:
    OF_PLUGIN[PLUGINS.plugin_of(_route)].add((_route.method, _route.path))

NEEDED: Final = {
    # Everything else is kept for projects, and devices register with their tokens.
    "projects": (
        "auth", "devices", "envars", "commands", "scripts", "triggers", "messages", "telemetry",
        "alerts", "syslog_listener", "http_listener",
    ),
    # What listeners take goes nowhere else.
    "relay": ("syslog_listener", "http_listener"),
}  # fmt: skip
"""Services that others cannot do without (docs/hub.toml.md): these go along with them."""


def without(*services: str) -> list[str]:
    """Give the default list without these, and what cannot do without them."""
    gone = {*services, *(other for one in services for other in NEEDED.get(one, ()))}
    return [one for one in ALL if one not in gone]


def refusal(services: list[str]) -> str:
    """Say why a hub with these does not start; "" when it does."""
    prepared = prepare(None, {"ISAAX_HUB_SERVICES": ",".join(services)}, quiet=True)
    try:
        steps_of(prepared.settings, prepared.plugins, parts=PARTS)
    except Unplannable as error:
        return error.detail
    return ""


@pytest.mark.parametrize("service", ALL)
def test_whoever_cannot_do_without_it_is_named(service: str) -> None:
    said = refusal([one for one in ALL if one != service])
    needed = NEEDED.get(service, ())
    assert bool(said) is bool(needed), said
    assert not needed or re.match(rf"the service ({'|'.join(needed)}) needs {service}: add", said)
    assert refusal(without(service)) == ""


@dataclass
class Changing:
    """A hub that is started anew with other services, and an account that has one of everything."""

    spine: Spine
    one: Ending
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(3))

    def run(self, services: list[str], remote: list[str] | None = None) -> "Said":
        """Start it anew with these; give what it says from then on."""
        self.spine.stop_hub()
        self.spine.extra = {"hub": {"services": services, "remote": remote or []}}
        said = Said(self.spine, len(self.spine.log))
        self.spine.start_hub()
        return said

    def page(self, path: str) -> Any:
        """Read one of the gateway's own pages."""
        answer = self.spine.api.ask("GET", f"/../..{path}")
        assert answer.status == 200, answer
        return answer.body

    def answers(self) -> list[tuple[AnyRoute, Answer]]:
        """Read everything that the account has."""
        reads = [one for one in OWNED if one.method == "GET" and not one.download]
        return [(one, self.one.tenant.ask(one)) for one in reads if not one.texts]


@dataclass
class Said:
    """What a hub has logged since a moment."""

    spine: Spine
    begins: int

    def at(self, *levels: str) -> list[dict[str, Any]]:
        """Give what it said at these levels."""
        lines = [json.loads(line) for line in self.spine.log[self.begins :].splitlines()]
        return [line for line in lines if line["level"] in levels]


@pytest.fixture(scope="module")
def changing() -> Iterator[Changing]:
    """Such a hub, with all of its services."""
    with running_spine() as spine:
        yield Changing(spine, ending(spine))


def declares(service: str, route: AnyRoute) -> bool:
    """Say whether the plugin of a service declares a route."""
    own = PLUGINS.plugin_of(PLUGINS.services[service])
    return (route.method, route.path) in OF_PLUGIN[own]


@pytest.mark.parametrize("service", [one for one in ALL if one != "gateway"])
def test_the_others_work_and_the_api_says_what_is_not_there(
    changing: Changing, service: str
) -> None:
    services = without(service)
    said = changing.run(services)
    off = sorted({*ALL} - {*services})
    ready = changing.page("/readyz")
    assert (ready["status"], ready["switched_off"]) == ("ready", off)
    document = changing.page("/openapi.json")
    assert document["x-switched-off"] == off
    for route, answer in changing.answers():
        of = f"{route.method} {route.path}"
        operation = document["paths"][route.path]["get"]
        is_off = any(declares(one, route) for one in off)
        assert ("x-not-available" in operation) is is_off, of
        assert ("Not available on this hub" in operation.get("description", "")) is is_off, of
        if is_off or service == "accounts":
            assert answer.status == 501, (of, answer)
        assert answer.status in {200, 501}, (of, answer)
        if answer.status == 501:
            assert answer.body["type"] == "/problems/not-available"
            named = re.match(r"the service (\w+) is switched off", answer.body["detail"])
            assert named, answer
            assert named[1] in off
    if {"auth", "relay"} <= {*services}:
        number = next(changing.numbers)
        assert changing.one.tenant.device.send(batch("on it goes", first=number))["op"] == "ack"
    assert said.at("error", "critical") == []
    background = [line for line in said.at("warning") if "request" not in line]
    assert len(background) < 5, background


def test_without_a_gateway_all_others_run(changing: Changing) -> None:
    """Nothing answers at its port, and devices notice nothing."""
    spine = changing.spine
    spine.stop_hub()
    spine.extra = {"hub": {"services": without("gateway")}}
    said = Said(spine, len(spine.log))
    spine.start_processes()
    wait(
        lambda: [one for one in said.at("info") if one["event"] == "ready"] != [], "it to be ready"
    )
    number = next(changing.numbers)
    assert changing.one.tenant.device.send(batch("on it goes", first=number))["op"] == "ack"
    assert said.at("error") == []


def test_what_those_keep_that_are_switched_off_is_erased_and_what_is_down_is_waited_for(
    changing: Changing,
) -> None:
    """By whoever runs `accounts`: nobody is there to ask, and the law does not mind."""
    one, few = changing.one, ["accounts", "gateway"]
    changing.run(list(ALL))
    assert one.close().status == 202
    one.is_due()
    down = changing.run(few, remote=[name for name in ALL if name not in few])

    def waits() -> bool:
        later = [line for line in down.at("warning") if line["event"] == "an erasure goes on later"]
        return any("nobody serves" in line["error"] for line in later)

    wait(waits, "it to be put off")
    one.sql("UPDATE accounts_deletion SET next_at = now() WHERE account = $1", one.account)
    said = changing.run(few)
    wait(one.is_gone, "the account to be gone")
    one.check_nothing_is_left()
    assert said.at("error") == []
