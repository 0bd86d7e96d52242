"""The typed client is what the routes declare: none is missing, and none says anything else."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.client import Api, structs
from hub.client.generator import modules
from hub.client.generator.shipped import document
from hub.plugins import PluginHost
from hub.structs import decode, json_values

ROOT = Path(__file__).parents[2]
DOCUMENT = document()
OPERATIONS = {
    operation["operationId"]: operation
    for methods in DOCUMENT["paths"].values()
    for operation in methods.values()
}
PAGES = {"text/html"}
"""What pages for people are, and they alone."""


@pytest.mark.parametrize(("name", "text"), modules(DOCUMENT).items(), ids=lambda one: one[:10])
def test_it_is_as_the_routes_declare(name: str, text: str) -> None:
    """After a change of a route: python -m hub.client.generator."""
    assert (ROOT / "hub" / "client" / name).read_text() == text


def test_every_route_is_a_method() -> None:
    routes = PluginHost.load(quiet=True).routes
    assert len(OPERATIONS) == len(routes)
    pages = {one.path for one in routes if {text.partition(";")[0] for text in one.texts} == PAGES}
    paths = {path for path, methods in DOCUMENT["paths"].items() for _ in methods} - pages
    wanted = {one["operationId"] for path in paths for one in DOCUMENT["paths"][path].values()}
    assert {name for name in wanted if not hasattr(Api, name)} == set()


def test_every_name_stands_alone() -> None:
    """It is the handler's: of more than one word, and of no other handler."""
    handlers = {one.handler.__name__ for one in PluginHost.load(quiet=True).routes}
    methods = {name for name in vars(Api) if name in OPERATIONS}
    assert methods - handlers == set()
    assert {name for name in methods if "_" not in name} == {"unlock", "reauthenticate"}


def answered() -> list[tuple[str, Any]]:
    """Give the name and schema of every Struct that is answered."""
    schemas = DOCUMENT["components"]["schemas"]
    made = [name for name in schemas if isinstance(getattr(structs, name, None), type)]
    return [(name, schemas[name]) for name in made if "properties" in schemas[name]]


@pytest.mark.parametrize(("name", "schema"), answered(), ids=lambda one: str(one)[:30])
def test_a_struct_decodes_what_its_schema_says(name: str, schema: Any) -> None:
    """The least that is valid, and all that is: made by the schema alone."""
    kind = getattr(structs, name)
    for full in (False, True):
        value = example({"$ref": f"#/components/schemas/{name}"}, full=full)
        decoded = decode(kind, value)
        assert held(json_values(decoded), value) == value
    assert set(schema["properties"]) == {
        field.encode_name for field in msgspec.structs.fields(kind)
    }


def held(whole: Any, wanted: Any) -> Any:
    """Give what is wanted of something, as it is there; defaults, and what is left out, are not."""
    if isinstance(wanted, dict):
        return {key: held(whole.get(key, wanted[key]), wanted[key]) for key in wanted}
    if isinstance(wanted, list):
        return [held(one, other) for one, other in zip(whole, wanted, strict=True)]
    return whole


def example(schema: Any, *, full: bool) -> Any:
    """Make a value that a schema allows."""
    some = {"string": "text", "integer": 7, "number": 1.5, "boolean": True, "null": None}
    match schema:
        case {"$ref": reference}:
            referred = DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]]
            value = example(referred, full=full)
        case {"anyOf": [first, *_]}:
            value = example(first, full=full)
        case {"enum": [first, *_]}:
            value = first
        case {"format": "date-time"}:
            value = "2026-11-23T15:04:05.123456Z"
        case {"properties": properties, "required": required}:
            wanted = properties if full else required
            value = {key: example(properties[key], full=full) for key in wanted}
        case {"type": "array"}:
            value = [example(schema.get("items", {}), full=full)] if full else []
        case {"type": "object"}:
            value = {"key": example(schema.get("additionalProperties", {}), full=full)}
        case _:
            value = some.get(schema.get("type"), "anything")
    return value


WHAT_IT_NEEDS = """
import importlib, pkgutil, sys
import hub.client, hub.client.commands
for package in (hub.client, hub.client.commands):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if not module.name.endswith("generator"):
            importlib.import_module(module.name)
print(" ".join(sorted(sys.modules)))
"""

ALLOWED = {
    "hub.client", "hub.errors", "hub.files", "hub.ids", "hub.secret", "hub.structs", "hub.times",
}  # fmt: skip


def loaded(program: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_it_needs_nothing_of_the_hub_that_runs() -> None:
    modules = loaded(WHAT_IT_NEEDS)
    assert "hub.client.api" in modules
    ours = {name for name in modules if name.startswith(("hub.", "services", "plugins", "agent"))}
    assert {name for name in ours if not name.startswith("hub.client.")} <= ALLOWED
    assert not {"aiohttp", "asyncpg", "nats", "pluggy", "cryptography", "paho"} & modules


def test_a_command_begins_without_what_it_may_not_need() -> None:
    """Completion and --help are quick: no HTTP, no plugin, and no settings of the hub."""
    program = "\n".join([
        "import sys",
        "import hub.cli",
        "from hub.client import commands",
        "for name in commands.COMMANDS: commands.load(name)",
        "print(' '.join(sys.modules))",
    ])  # fmt: skip
    modules = loaded(program)
    assert "hub.client.commands.integrations" in modules
    assert not {*HEAVY, "rich.console"} & modules


HEAVY = {"httpx", "httpx_sse", "tomlkit", "asyncio", "hub.client.api", "hub.plugins"}


def test_the_help_of_all_begins_as_quickly() -> None:
    """It tells of the commands of plugins without loading one."""
    program = "\n".join([
        "import sys, io, contextlib",
        "from hub.cli import main",
        "sys.argv = ['isaax', '--help']",
        "told = io.StringIO()",
        "with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit): main()",
        "assert 'accounts' in told.getvalue()",
        "print(' '.join(sys.modules))",
    ])  # fmt: skip
    assert not HEAVY & loaded(program)
