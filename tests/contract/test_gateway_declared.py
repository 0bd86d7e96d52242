"""What a route declares and the gateway keeps for it: preferences, keys, ends, preconditions."""

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
import pytest
from multidict import CIMultiDictProxy

from hub import SHOWN_ONCE, Deprecated, hookimpl
from hub.contracts import Bus
from hub.errors import NotFound, PreconditionFailed
from hub.gateway.openapi import describe
from hub.gateway.routing import Declared, build_table
from hub.permissions import SIGNED_IN
from hub.routes import Authenticator, Call, Caller, NoQuery, Reply, Route
from tests.fixtures.gateway import RunSite, Site

KEEPER = {"Authorization": "Keeper keeper"}
PATCH = {"Content-Type": "application/merge-patch+json"}
MINIMAL = {"Prefer": "return=minimal"}
END = Deprecated(dt.date(2026, 11, 1), dt.date(2027, 5, 1), "`GET /drawers/{drawer}`")


class Drawer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A drawer."""

    label: str


class NewKey(msgspec.Struct, frozen=True):
    """A key, which is shown this once."""

    label: Annotated[str, SHOWN_ONCE]


@dataclass
class Drawers:
    """A plugin whose routes declare all that can be declared."""

    drawers: dict[str, str] = field(default_factory=dict)
    keys: int = 0

    async def add(self, call: Call[Drawer, NoQuery]) -> Reply:
        self.drawers["d1"] = call.body.label
        return Reply(call.body, location="/drawers/d1", version="1")

    async def put(self, call: Call[Drawer, NoQuery]) -> Reply:
        if call.if_absent and call.path["drawer"] in self.drawers:
            raise PreconditionFailed
        self.drawers[call.path["drawer"]] = call.body.label
        return Reply(call.body, version="1")

    async def get(self, call: Call[None, NoQuery]) -> Reply:
        if call.path["drawer"] not in self.drawers:
            raise NotFound
        return Reply(Drawer(self.drawers[call.path["drawer"]]), version="1")

    async def patch(self, call: Call[dict[str, Any], NoQuery]) -> Reply:
        return Reply(Drawer(call.body["label"]))

    async def make_key(self, call: Call[None, NoQuery]) -> Reply:
        self.keys += 1
        return Reply(NewKey(f"key {self.keys}"), location="/drawers/d1")

    async def lost(self, call: Call[None, NoQuery]) -> Reply:
        return Reply(Drawer("where?"))

    async def old(self, call: Call[None, NoQuery]) -> Reply:
        if call.path["drawer"] == "none":
            raise NotFound
        return Reply([Drawer("x")], next="more")

    @hookimpl
    def isaax_authenticators(self) -> list[Authenticator]:
        async def check(credential: str, _: Bus) -> Caller | None:
            return Caller("acc_one", credential)

        return [Authenticator("keeper", "Keeper", check)]

    @hookimpl
    def isaax_routes(self) -> list[Route[Any, Any]]:
        one = "/drawers/{drawer}"
        return [
            self._route("POST", "/drawers", self.add, body=Drawer, status=201),
            self._route("GET", one, self.get),
            self._route("PUT", one, self.put, body=Drawer, creates=True),
            self._route("PATCH", one, self.patch, body=Drawer, versioned=False),
            self._route(
                "POST", f"{one}/keys", self.make_key, response=NewKey, status=201, once=True
            ),
            self._route("POST", f"{one}/lost", self.lost, status=201),
            self._route("POST", f"{one}/orders", self.make_key, status=201, key_required=True),
            self._route("GET", f"{one}/old", self.old, deprecated=END),
        ]

    def _route(self, method: str, path: str, handler: Any, **more: Any) -> Route[Any, Any]:
        return Route(
            method=method, path=path, summary="x", tag="x", handler=handler,
            permission=SIGNED_IN.name, **{"response": Drawer, **more},
        )  # fmt: skip


@pytest.fixture
async def site(run_site: RunSite) -> AsyncIterator[Site]:
    async with run_site(drawers=Drawers()) as running:
        yield running


async def ask(
    site: Site, method: str, path: str, body: Any = None, **more: str
) -> tuple[int, CIMultiDictProxy[str], bytes]:
    """Ask as the keeper; give status, headers and body."""
    kind = PATCH if method == "PATCH" else {"Content-Type": "application/json"}
    headers = {**KEEPER, **(kind if body is not None else {})}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    data = None if body is None else msgspec.json.encode(body)
    url = f"{site.url}{path}"
    async with site.http.request(method, url, data=data, headers=headers) as response:
        return response.status, response.headers, await response.read()


# ── Prefer ────────────────────────────────────────────────────────────────────────────────────


async def test_minimal_leaves_out_the_body_of_what_was_made(site: Site) -> None:
    status, headers, body = await ask(site, "POST", "/drawers", {"label": "a"}, **MINIMAL)
    assert (status, body) == (201, b"")
    assert headers["Preference-Applied"] == "return=minimal"
    assert (headers["Location"], headers["ETag"]) == ("/drawers/d1", '"1"')
    assert "Content-Type" not in headers


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_minimal_is_204_for_a_change(site: Site, method: str) -> None:
    status, headers, body = await ask(site, method, "/drawers/d1", {"label": "b"}, **MINIMAL)
    assert (status, body, headers["Preference-Applied"]) == (204, b"", "return=minimal")


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("return=representation", "return=representation"),
        ("return=representation, return=minimal", "return=representation"),
        ("respond-async", None), ("return", None), ("return=nothing", None), ("=", None),
        ('wait=10 , Return="minimal"; x', "return=minimal"),
    ],
)  # fmt: skip
async def test_what_is_not_known_is_not_applied(
    site: Site, prefer: str, applied: str | None
) -> None:
    status, headers, body = await ask(site, "PUT", "/drawers/d1", {"label": "b"}, Prefer=prefer)
    assert headers.get("Preference-Applied") == applied
    assert (status, bool(body)) == ((204, False) if applied == "return=minimal" else (200, True))


async def test_what_can_be_read_only_once_is_always_told(site: Site) -> None:
    status, headers, body = await ask(site, "POST", "/drawers/d1/keys", **MINIMAL)
    assert (status, body) == (201, b'{"label":"key 1"}')
    assert "Preference-Applied" not in headers


async def test_an_error_is_always_told(site: Site) -> None:
    status, headers, body = await ask(site, "PUT", "/drawers/d1", {}, **MINIMAL)
    assert (status, b"/problems/invalid" in body) == (422, True)
    assert "Preference-Applied" not in headers


async def test_a_retry_may_prefer_otherwise(site: Site) -> None:
    """The key stands for the effect; what is shown of it is up to each request."""
    key = {"Idempotency_Key": "drawer-1"}
    await ask(site, "POST", "/drawers", {"label": "a"}, **MINIMAL, **key)
    status, headers, body = await ask(site, "POST", "/drawers", {"label": "a"}, **key)
    assert (status, body) == (201, b'{"label":"a"}')
    assert headers["Idempotent-Replayed"] == "true"


# ── the other declarations ────────────────────────────────────────────────────────────────────


async def test_a_key_can_be_required(site: Site) -> None:
    status, _, body = await ask(site, "POST", "/drawers/d1/orders")
    assert (status, b"/problems/idempotency-key-required" in body) == (400, True)
    for _ in range(2):
        status, _, body = await ask(site, "POST", "/drawers/d1/orders", Idempotency_Key="o-1")
        assert (status, body) == (201, b'{"label":"key 1"}')


async def test_a_put_may_create_only_what_is_not_there(site: Site) -> None:
    absent = {"If_None_Match": "*"}
    assert (await ask(site, "PUT", "/drawers/d9", {"label": "a"}, **absent))[0] == 200
    assert (await ask(site, "PUT", "/drawers/d9", {"label": "b"}, **absent))[0] == 412
    assert (await ask(site, "GET", "/drawers/d9"))[2] == b'{"label":"a"}'


@pytest.mark.parametrize(("tag", "status"), [('"1"', 412), ('W/"1"', 412), ("*", 200)])
async def test_nothing_matches_what_has_no_version(site: Site, tag: str, status: int) -> None:
    answer = await ask(site, "PATCH", "/drawers/d1", {"label": "b"}, If_Match=tag)
    assert answer[0] == status


async def test_what_was_made_says_where_it_is(site: Site) -> None:
    """A handler that forgets it is a fault of ours, and not an answer without a Location."""
    assert (await ask(site, "POST", "/drawers/d1/lost"))[0] == 500


@pytest.mark.parametrize(("drawer", "status"), [("d1", 200), ("none", 404)])
async def test_every_answer_of_a_deprecated_route_says_so(
    site: Site, drawer: str, status: int
) -> None:
    answer = await ask(site, "GET", f"/drawers/{drawer}/old")
    assert answer[0] == status
    assert answer[1]["Deprecation"] == "@1793491200"
    assert answer[1]["Sunset"] == "Sat, 01 May 2027 00:00:00 GMT"
    assert '</docs>; rel="deprecation"; type="text/html"' in answer[1]["Link"]
    assert ('rel="next"' in answer[1]["Link"]) == (status == 200)


def test_declarations_are_described() -> None:
    table, _ = build_table(
        (Declared("drawers", one) for one in Drawers().isaax_routes()), {SIGNED_IN.name}
    )
    paths = describe(table, version="1")["paths"]
    old = paths["/drawers/{drawer}/old"]["get"]
    assert old["deprecated"] is True
    assert old["description"] == (
        "Deprecated since 2026-11-01. It may stop to answer from 2027-05-01 on. Use instead: "
        "`GET /drawers/{drawer}`."
    )
    assert {"Deprecation", "Sunset"} <= old["responses"]["404"]["headers"].keys()
    order = paths["/drawers/{drawer}/orders"]["post"]
    required = {one["name"] for one in order["parameters"] if one["required"]}
    assert required == {"drawer", "Idempotency-Key"}
    put = {one["name"] for one in paths["/drawers/{drawer}"]["put"]["parameters"]}
    assert {"If-Match", "If-None-Match", "Prefer"} <= put
    patch = {one["name"] for one in paths["/drawers/{drawer}"]["patch"]["parameters"]}
    assert "If-Match" not in patch


@pytest.mark.parametrize(
    ("method", "more", "reason"),
    [
        ("GET", {"response": list[Drawer]}, "limit with bounds"),
        ("POST", {"key_required": True, "permission": None}, "require an Idempotency-Key"),
        ("PATCH", {"creates": True, "body": Drawer}, "only a PUT can create"),
        ("PUT", {"if_match": True, "versioned": False, "body": Drawer}, "nothing can fit"),
        (
            "GET", {"deprecated": Deprecated(dt.date(2026, 2, 1), dt.date(2026, 1, 1))},
            "its sunset comes before",
        ),
    ],
)  # fmt: skip
def test_what_no_route_can_keep_is_refused(method: str, more: Any, reason: str) -> None:
    options = {"response": Drawer, "permission": SIGNED_IN.name, **more}
    route: Route[Any, Any] = Route(
        method=method, path="/x", summary="x", tag="x", handler=Drawers().get, **options
    )
    _, refused = build_table([Declared("x", route)], {SIGNED_IN.name})
    assert [reason in one.reason for one in refused] == [True]
