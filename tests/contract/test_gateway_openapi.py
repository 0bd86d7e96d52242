"""The OpenAPI document: valid, complete, and true."""

import json
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from hub.errors import by_code
from hub.gateway.openapi import describe
from hub.gateway.problems import CATALOGUE
from hub.gateway.routing import Declared, build_table
from hub.permissions import Permissions
from hub.plugins import PluginHost
from services.messages.routes import routes as messages_routes
from tests.fixtures.gateway import Notes, Site

METHODS = ("get", "post", "put", "patch", "delete")


PERMISSIONS = Permissions(
    [*Notes().isaax_permissions(), *PluginHost.load(quiet=True).permissions.values()]
)


def document() -> dict[str, Any]:
    """Describe the notes."""
    table, refused = build_table(
        (Declared("notes", one) for one in Notes().isaax_routes()), PERMISSIONS
    )
    assert not refused
    # As a client sees it: through JSON.
    shown: dict[str, Any] = json.loads(json.dumps(describe(table, version="1.2.3")))
    return shown


def operations(described: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give every operation by its id."""
    return {
        operation["operationId"]: operation
        for path in described["paths"].values()
        for operation in path.values()
    }


def parameters(operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give an operation's parameters by name."""
    return {one["name"]: one for one in operation["parameters"]}


def references(value: Any) -> list[str]:
    """Give every reference in the document."""
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [one for item in value.values() for one in references(item)]
    if isinstance(value, list):
        return [one for item in value for one in references(item)]
    return []


def test_it_is_valid_by_the_meta_schema() -> None:
    errors = [error.message for error in OPENAPI_31_VALIDATOR.iter_errors(document())]
    assert errors == []


def test_every_reference_leads_somewhere() -> None:
    described = document()
    for reference in set(references(described)):
        target: Any = described
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        assert target


def test_every_schema_is_a_json_schema() -> None:
    for schema in document()["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
        assert schema.get("type") == "object" or "enum" in schema


def test_every_route_is_an_operation_with_a_name_of_its_own() -> None:
    described = document()
    named = operations(described)
    assert len(named) == len(Notes().isaax_routes())
    assert set(named) >= {"list_notes", "create_note", "get_note", "put_note", "delete_note"}


def test_conventions_are_described() -> None:
    named = operations(document())
    assert "Idempotency-Key" in parameters(named["create_note"])
    assert "Idempotency-Key" not in parameters(named["put_note"])
    assert parameters(named["put_note"])["If-Match"]["required"] is True
    assert parameters(named["patch_note"])["If-Match"]["required"] is False
    assert "If-None-Match" in parameters(named["get_note"])
    assert "If-None-Match" in parameters(named["list_notes"])
    assert "Prefer" in parameters(named["create_note"])
    assert "204" in named["patch_note"]["responses"]
    assert not {"Prefer", "If-Match"} & set(parameters(named["get_note"]))
    assert "Last-Event-ID" in parameters(named["follow"])
    assert set(named["create_note"]["responses"]["201"]["headers"]) == {
        "ETag", "Location", "Preference-Applied", "RateLimit", "RateLimit-Policy", "X-Request-Id",
    }  # fmt: skip
    assert "Link" in named["list_notes"]["responses"]["200"]["headers"]
    assert "text/event-stream" in named["follow"]["responses"]["200"]["content"]
    assert list(named["patch_note"]["requestBody"]["content"]) == ["application/merge-patch+json"]
    assert "content" not in named["delete_note"]["responses"]["204"]


def test_limits_are_described() -> None:
    for operation in operations(document()).values():
        for response in operation["responses"].values():
            assert {"RateLimit", "RateLimit-Policy"} <= response["headers"].keys()
        assert "Retry-After" in operation["responses"]["429"]["headers"]


def test_problems_are_described() -> None:
    named = operations(document())
    assert set(named["create_note"]["responses"]) >= {
        "400", "401", "403", "406", "409", "413", "415", "422", "500", "503", "504", "default",
    }  # fmt: skip
    assert set(named["put_note"]["responses"]) >= {"404", "412", "428"}
    # Nobody has to show a credential there; one that is shown must still be valid.
    assert {"401", "403"} & set(named["whoami"]["responses"]) == {"401"}
    for operation in named.values():
        for status, response in operation["responses"].items():
            if status[0] in "45d":
                assert list(response["content"]) == ["application/problem+json"]


def test_security_names_the_scope() -> None:
    described = document()
    named = operations(described)
    assert named["create_note"]["security"] == [{"bearer": ["notes:write"]}]
    assert named["whoami"]["security"] == []
    assert described["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_a_cookie_goes_with_its_guard() -> None:
    table, _ = build_table((Declared("n", one) for one in Notes().isaax_routes()), PERMISSIONS)
    shown = describe(table, version="1", schemes=("Bearer",), cookies=("session",))
    assert set(shown["components"]["securitySchemes"]) == {"bearer", "session", "csrf"}
    named = operations(shown)
    read, write = ["notes:read"], ["notes:write"]
    assert named["list_notes"]["security"] == [{"bearer": read}, {"session": read}]
    assert named["create_note"]["security"] == [
        {"bearer": write}, {"session": write, "csrf": write},
    ]  # fmt: skip
    assert list(OPENAPI_31_VALIDATOR.iter_errors(json.loads(json.dumps(shown)))) == []


def test_what_programs_decide_by_is_named() -> None:
    """The permission that is asked for, and every type of problem."""
    named = operations(document())
    assert named["create_note"]["x-permission"] == "notes:write"
    assert "x-permission" not in named["whoami"]
    assert named["create_note"]["responses"]["409"]["x-problems"] == [
        "/problems/conflict", "/problems/idempotency-key-in-flight",
    ]  # fmt: skip


def test_a_query_is_described_by_its_types() -> None:
    query = parameters(operations(document())["list_notes"])
    assert query["limit"]["schema"]["maximum"] == 200
    assert query["starred"]["schema"] == {"type": "boolean"}
    assert query["kind"]["schema"] == {"enum": ["long", "short"]}
    assert query["tag"]["schema"]["items"] == {"type": "string"}
    assert not any(one["required"] for one in query.values())


def test_a_patch_requires_nothing() -> None:
    content = operations(document())["patch_note"]["requestBody"]["content"]
    schema = content["application/merge-patch+json"]["schema"]
    assert "required" not in schema
    assert schema["additionalProperties"] is False
    assert "default" not in schema["properties"]["stars"]


def test_a_body_is_required_unless_nothing_in_it_is() -> None:
    """`{}` may be left out where it is enough; not of a patch, nor where it is refused."""
    routes = {
        route.handler.__name__: route for route in messages_routes() if route.body is not None
    }
    table, _ = build_table((Declared("messages", one) for one in routes.values()), PERMISSIONS)
    shown = describe(table, version="1")
    needed = {
        operation["summary"]: operation["requestBody"]["required"]
        for path in shown["paths"].values()
        for operation in path.values()
    }
    optional = {"test_integration", "dry_run_integration"}
    assert {name for name, route in routes.items() if not needed[route.summary]} == optional


def test_a_secret_is_write_only_and_never_an_example() -> None:
    described = document()
    body = described["components"]["schemas"]["NoteBody"]["properties"]["password"]
    assert body["writeOnly"] is True
    example = operations(described)["create_note"]["requestBody"]["content"]["application/json"]
    assert example["examples"]["1"]["value"]["password"] == "********"


async def test_it_is_served_with_an_etag_to_everyone(site: Site) -> None:
    async with site.http.get(f"{site.url}/openapi.json") as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        tag = response.headers["ETag"]
        assert (await response.json())["openapi"] == "3.1.1"
    headers = {"If-None-Match": tag}
    async with site.http.get(f"{site.url}/openapi.json", headers=headers) as response:
        assert response.status == 304


@pytest.mark.parametrize("error", CATALOGUE, ids=lambda error: error.code)
async def test_every_type_of_problem_has_its_own_code_and_page(site: Site, error: Any) -> None:
    assert sum(other.code == error.code for other in CATALOGUE) == 1
    assert by_code(error.code).status == error.status
    async with site.http.get(f"{site.url}/problems/{error.code}") as response:
        assert (await response.json())["status"] == error.status
