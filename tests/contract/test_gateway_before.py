"""What is recorded as `before` is what the change was made to, whatever others do meanwhile."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from hub import hookimpl
from hub.audit.records import AuditEntry
from hub.contracts import Bus
from hub.database import Database
from hub.errors import NotFound, PreconditionFailed
from hub.gateway import before
from hub.permissions import DEVELOPERS, VIEWERS, Permission, Role
from hub.routes import Authenticator, Call, Caller, NoQuery, Reply, Route
from hub.settings import PostgresSettings
from tests.fixtures.audit import Log
from tests.fixtures.gateway import RunSite, Site

DIAL = "/dials/one"


class Dial(msgspec.Struct, frozen=True):
    """A thing as the API shows it."""

    id: str
    value: int


class DialBody(msgspec.Struct, frozen=True):
    """What a client sets."""

    value: int


@dataclass
class Dials:
    """A plugin with one dial, that others turn each time that somebody has looked at it.

    Args:
        rivals: how often they do.
    """

    rivals: int = 0
    value: int | None = 0
    version: int = 1
    asked: int = 0
    account: str = field(default_factory=lambda: f"acc_{secrets.token_hex(6)}")

    def turn(self, value: int | None) -> None:
        self.value, self.version = value, self.version + 1

    async def read(self, call: Call[Any, NoQuery]) -> Reply:
        try:
            return self.view()
        finally:
            if self.rivals:
                self.rivals -= 1
                self.turn(100 + self.version)

    def view(self) -> Reply:
        if self.value is None:
            raise NotFound("no such dial")
        return Reply(Dial("dial_1", self.value), version=str(self.version))

    def check(self, call: Call[Any, NoQuery]) -> None:
        self.asked += 1
        if call.versions is not None and str(self.version) not in call.versions:
            raise PreconditionFailed("it was turned")
        if call.if_absent and self.value is not None:
            raise PreconditionFailed("it is there")

    async def change(self, call: Call[Any, NoQuery]) -> Reply:
        self.check(call)
        self.turn(call.body["value"])
        return self.view()

    async def put(self, call: Call[DialBody, NoQuery]) -> Reply:
        self.check(call)
        self.turn(call.body.value)
        return self.view()

    async def drop(self, call: Call[Any, NoQuery]) -> Reply:
        self.check(call)
        self.turn(None)
        return Reply()

    @hookimpl
    def isaax_authenticators(self) -> list[Authenticator]:
        async def check(credential: str, _: Bus) -> Caller | None:
            return (
                Caller(self.account, "apt_1", role=Role.ADMIN) if credential == "turner" else None
            )

        return [Authenticator("dials", "Bearer", check)]

    @hookimpl
    def isaax_permissions(self) -> list[Permission]:
        return [
            Permission("dials:read", "See them.", VIEWERS),
            Permission("dials:write", "Turn them.", DEVELOPERS),
        ]

    @hookimpl
    def isaax_routes(self) -> list[Route[Any, Any]]:
        route: Route[Any, Any] = Route(
            method="GET", path="/dials/{dial}", summary="It", tag="dials", handler=self.read,
            permission="dials:read", response=Dial,
        )  # fmt: skip
        write = replace(route, permission="dials:write")
        return [
            route,
            replace(write, method="PATCH", handler=self.change, body=DialBody),
            replace(write, method="PUT", handler=self.put, body=DialBody, creates=True),
            replace(write, method="DELETE", handler=self.drop, response=None, status=204),
        ]


@dataclass
class Room:
    """A site with the dial, and the log of its account."""

    site: Site
    dials: Dials
    log: Log

    async def turn(self, method: str = "PATCH", **headers: str) -> tuple[int, AuditEntry]:
        """Turn it to 7; give the status, and the entry."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent["Authorization"] = "Bearer turner"
        data = None
        if method != "DELETE":
            sent["Content-Type"], data = kind, b'{"value": 7}'
        url = f"{self.site.url}{DIAL}"
        async with self.site.http.request(method, url, headers=sent, data=data) as answer:
            (entry,) = await self.log.until(1)
            return answer.status, entry


@pytest.fixture
async def room(run_site: RunSite, gateway_database: PostgresSettings) -> AsyncIterator[Room]:
    dials = Dials()
    async with run_site(dials=dials) as site, Database.open(gateway_database) as database:
        yield Room(site, dials, Log(database, dials.account))


@pytest.mark.parametrize(("method", "status"), [("PATCH", 200), ("PUT", 200), ("DELETE", 204)])
@pytest.mark.parametrize("rivals", [0, 1, 3])
async def test_a_change_that_came_between_is_what_was_before(
    room: Room, method: str, status: int, rivals: int
) -> None:
    """It is read again, until it is the very thing that is changed."""
    room.dials.rivals = rivals
    last = 100 + rivals if rivals else 0
    got, entry = await room.turn(method)
    assert (got, entry.outcome, entry.notes) == (status, "done", [])
    assert entry.before == {"id": "dial_1", "value": last}
    assert room.dials.asked == rivals + 1


async def test_what_others_made_meanwhile_is_what_was_before(room: Room) -> None:
    room.dials.value, room.dials.rivals = None, 1
    status, entry = await room.turn("PUT")
    assert (status, entry.notes) == (200, [])
    assert (entry.before["value"], entry.after["value"]) == (101, 7)


async def test_where_it_never_rests_the_entry_says_so(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change is made all the same: nobody asked that it be the only one."""
    monkeypatch.setattr(before, "PATIENCE", 0.05)
    room.dials.rivals = 1_000_000
    status, entry = await room.turn()
    assert (status, entry.outcome, entry.notes) == (200, "done", [before.BETWEEN])
    assert entry.after["value"] == 7


@pytest.mark.parametrize("rivals", [0, 1])
async def test_what_the_client_asks_of_the_version_holds(room: Room, rivals: int) -> None:
    """Of a thing that is another one by then, nothing is changed."""
    room.dials.rivals = rivals
    status, entry = await room.turn(If_Match='"1"')
    expected = (412, "failed") if rivals else (200, "done")
    assert (status, entry.outcome) == expected
    assert (room.dials.value == 7) is not bool(rivals)


async def test_a_version_that_is_not_there_is_not_waited_for(room: Room) -> None:
    status, entry = await room.turn(If_Match='"9"')
    assert (status, entry.outcome, room.dials.asked) == (412, "failed", 1)


async def test_of_several_versions_the_one_that_was_changed_was_before(room: Room) -> None:
    room.dials.rivals = 1
    status, entry = await room.turn(If_Match='"1", "2"')
    assert (status, entry.before["value"], entry.notes) == (200, 101, [])
