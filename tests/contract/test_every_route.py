"""Every route that we ship keeps the conventions that can be seen in its declaration."""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from hub.errors import NotFound
from hub.gateway.decoding import of_nothing
from hub.gateway.openapi import describe
from hub.gateway.pages import PATHS
from hub.gateway.routing import Declared, build_table, path_parameters
from hub.permissions import Permissions
from hub.plugins import PluginHost
from hub.routes import Route

PLUGINS = PluginHost.load(quiet=True)
ROUTES = PLUGINS.routes
PERMISSIONS = Permissions(PLUGINS.permissions.values())
TABLE, REFUSED = build_table((Declared("", one) for one in ROUTES), PERMISSIONS, reserved=PATHS)
DOCUMENT = describe(TABLE, version="1")
ACTIONS = frozenset(
    {
        "pause", "resume", "test", "dry-run", "replay", "restore", "redeem", "relay", "me",
        "current", "data-usage", "password", "totp", "second-factor", "passkey", "preview",
        "resend", "transfer", "accept", "deletion", "archive", "undo", "audit", "export",
    }
)  # fmt: skip
"""Last parts of a path that are no plural: what is done with a thing, or is there once."""
BROWSERS_OWN = frozenset(
    {"rawId", "clientDataJSON", "attestationObject", "authenticatorData", "userHandle"}
)
"""Names in the JSON that browsers write (Web Authentication Level 3, section 5.1)."""


def name_of(route: Route[Any, Any]) -> str:
    """Name a route as its tests are named."""
    return f"{route.method} {route.path}"


each = pytest.mark.parametrize("route", ROUTES, ids=name_of)


def test_all_are_served() -> None:
    assert REFUSED == []
    assert len(ROUTES) > 30


@each
def test_its_path_is_of_plural_nouns_in_kebab_case(route: Route[Any, Any]) -> None:
    if not route.path.startswith("/api/v1/"):
        assert route.texts, "what is not of the API is a page"
        return
    for part in route.path.removeprefix("/api/v1/").split("/"):
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*|\{[a-z_]+\}", part)
        assert part.startswith("{") or part.endswith("s") or part in ACTIONS


@each
def test_it_is_described(route: Route[Any, Any]) -> None:
    assert re.fullmatch(r"[A-Z].*[^.]", route.summary)
    assert route.tag
    assert not route.description or route.description.endswith(".")
    if route.body is not None and of_nothing(route) is None:
        assert route.examples, "a route with a body has an example"


@each
def test_what_it_may_not_find_is_named(route: Route[Any, Any]) -> None:
    if path_parameters(route.path):
        assert route.secret_path or NotFound in route.errors, "a link says more than that"


@each
def test_its_status_fits_its_method(route: Route[Any, Any]) -> None:
    allowed = {
        "GET": {200}, "POST": {200, 201, 202, 204}, "PUT": {200, 201, 204}, "PATCH": {200},
        "DELETE": {200, 202, 204},
    }  # fmt: skip
    assert route.status in allowed[route.method]


@each
def test_a_thing_that_is_made_can_be_read(route: Route[Any, Any]) -> None:
    """`Location` leads to a GET of the same collection, or of a collection at the top.

    Where it is a certain way to make one, its collection is the part before.
    """
    if route.status != 201:
        return
    collection = [part for part in route.path.split("/") if part not in ACTIONS][-1]
    readable = {one.path for one in ROUTES if one.method == "GET"}
    assert any(re.fullmatch(rf"(/.*)?/{collection}/\{{[a-z_]+\}}", path) for path in readable)


@each
def test_who_reads_a_list_may_not_ask_for_all_of_it(route: Route[Any, Any]) -> None:
    if route.method != "GET" or getattr(route.response, "__origin__", None) is not list:
        return
    parameters = DOCUMENT["paths"][route.path]["get"]["parameters"]
    limit = next(one["schema"] for one in parameters if one["name"] == "limit")
    assert 1 <= limit["default"] <= limit["maximum"] <= 1000
    assert limit["minimum"] == 1


def _properties(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value.get("properties", {})
        for item in value.values():
            yield from _properties(item)
    elif isinstance(value, list):
        for item in value:
            yield from _properties(item)


def test_members_and_parameters_are_in_snake_case() -> None:
    names = set(_properties(DOCUMENT["components"]))
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            names |= {one["name"] for one in operation["parameters"] if one["in"] != "header"}
    assert len(names) > 50
    assert {name for name in names if not re.fullmatch(r"[a-z][a-z0-9_]*", name)} == BROWSERS_OWN


@each
def test_its_examples_are_what_it_takes(route: Route[Any, Any]) -> None:
    """As its schema says, strictly: what the reference shows can be copied."""
    if not route.examples:
        return
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    (content,) = operation["requestBody"]["content"].values()
    schema = {**content["schema"], "components": DOCUMENT["components"]}
    for example in content["examples"].values():
        jsonschema_rs.validate(schema, example["value"])


def test_bodies_refuse_what_they_do_not_know() -> None:
    """Nobody sets by a typo, or by guessing, what no client may set (mass assignment)."""
    bodies = {route.body for route in ROUTES if route.body is not None}
    queries = {route.query for route in ROUTES}
    for kind in bodies | queries:
        assert issubclass(kind, msgspec.Struct)
        assert kind.__struct_config__.forbid_unknown_fields or not kind.__struct_fields__, kind
