"""Structs that hold secrets and paths."""

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from hub import structs
from hub.errors import FieldError, Invalid
from hub.secret import Secret


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One header."""

    name: str
    value: Secret


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who logs in."""

    user: str = ""
    password: Secret = Secret("")


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to send.

    Args:
        host: name or address: IPv6 too,
            without brackets.
        token, other: what it gave you.

    This is no argument: at all.
    """

    host: str
    token: Secret
    other: Secret | None = None
    login: Login = Login()
    headers: list[Header] = []
    keys: dict[str, Secret] = {}
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 514
    ca: Path | None = None

    def __post_init__(self) -> None:
        if self.host == "nowhere":
            raise ValueError("nowhere cannot be reached")


FULL: dict[str, Any] = {
    "host": "logs.example",
    "token": "t0",
    "other": "t1",
    "login": {"user": "me", "password": "t2"},
    "headers": [{"name": "A", "value": "t3"}, {"name": "B", "value": "t4"}],
    "keys": {"one": "t5", "two": "t6"},
    "port": 6514,
    "ca": "/ca.pem",
}


def test_what_is_encoded_decodes_to_the_same() -> None:
    config = structs.decode(Config, FULL)
    assert structs.reveal(config) == FULL
    assert structs.decode(Config, structs.encode(config)) == config
    assert config.ca == Path("/ca.pem")


def test_public_masks_what_is_set() -> None:
    shown = structs.public(structs.decode(Config, FULL))
    text = json.dumps(shown)
    assert not [secret for secret in ("t0", "t1", "t2", "t3", "t4", "t5", "t6") if secret in text]
    assert shown["login"] == {"user": "me", "password": Secret.MASK}
    assert structs.public(Login()) == {"user": "", "password": ""}


@pytest.mark.parametrize(
    ("change", "pointer", "detail"),
    [
        ({"port": "x"}, "/port", "Expected int, got str"),
        ({"port": 0}, "/port", "Expected int >= 1"),
        ({"token": 5}, "/token", "Expected str, got int"),
        ({"token": {"a": 1}}, "/token", "Expected str, got object"),
        (
            {"token": Secret.MASK},
            "/token",
            "this is what a secret is shown as; give the secret itself",
        ),
        (
            {"headers": [{"name": "A", "value": "x"}, {"name": "B"}]},
            "/headers/1/value",
            "is required",
        ),
        ({"headers": [{"name": 1}]}, "/headers/0/name", "Expected str, got int"),
        ({"login": {"usr": ""}}, "/login/usr", "is not a known field"),
        ({"keys": {"a": 1}}, "/keys", "Expected str, got int"),
        ({"a/b~c": 1}, "/a~1b~0c", "is not a known field"),
        ({"host": "nowhere"}, "", "nowhere cannot be reached"),
        ({"ca": 7}, "/ca", "Expected str, got int"),
    ],
)
def test_an_error_points_at_what_is_wrong(
    change: dict[str, Any], pointer: str, detail: str
) -> None:
    for data in (FULL | change, json.dumps(FULL | change).encode()):
        with pytest.raises(Invalid) as refused:
            structs.decode(Config, data)
        assert refused.value.errors == (FieldError(pointer, detail),)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"host": "\xff"}', b"{} {}"])
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        structs.decode(Login, data)
    assert refused.value.errors[0].pointer in {"", "/host"}


def test_pointers_come_apart_as_they_were_made() -> None:
    assert structs.tokens(structs.pointer("a/b", 3, "~")) == ["a/b", 3, "~"]
    assert structs.tokens("") == []


def test_the_schema_tells_secrets_and_never_their_values() -> None:
    class Defaults(msgspec.Struct):
        password: Secret = Secret("hunter2")
        file: Path = Path("x")
        login: Login = Login(password=Secret("hunter2"))

    schema = structs.schema(Config)
    properties = schema["$defs"]["Config"]["properties"]
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert properties["token"] == {
        "type": "string", "format": "password", "writeOnly": True,
        "description": "what it gave you.",
    }  # fmt: skip
    assert properties["host"]["description"] == "name or address: IPv6 too, without brackets."
    assert properties["port"] == {"type": "integer", "minimum": 1, "maximum": 65535, "default": 514}
    assert schema["$defs"]["Config"]["required"] == ["host", "token"]
    assert schema["$defs"]["Config"]["additionalProperties"] is False
    assert schema["$defs"]["Config"]["description"] == "Where to send."
    assert "hunter2" not in json.dumps(structs.schema(Defaults))


def test_components_are_shared_between_types() -> None:
    (first, second), components = structs.schema_components([Config, list[Login]])
    assert first == {"$ref": "#/components/schemas/Config"}
    assert second == {"type": "array", "items": {"$ref": "#/components/schemas/Login"}}
    assert set(components) == {"Config", "Login", "Header"}


def test_an_update_keeps_the_secrets_that_it_masks_or_leaves_out() -> None:
    old = structs.decode(Config, FULL)
    masked = structs.public(old)
    assert structs.merge_secrets(old, masked) == FULL
    del masked["token"], masked["login"]["password"]
    assert structs.merge_secrets(old, masked) == FULL


def test_an_update_changes_the_secrets_that_it_gives() -> None:
    old = structs.decode(Config, FULL)
    update = structs.public(old) | {"token": "new", "other": None}
    merged = structs.merge_secrets(old, update)
    assert (merged["token"], merged["other"]) == ("new", None)
    update = structs.public(old) | {"login": {"user": "you", "password": ""}}
    assert structs.merge_secrets(old, update)["login"] == {"user": "you", "password": ""}


def test_an_update_leaves_out_what_has_a_secret_inside() -> None:
    old = structs.decode(Config, FULL)
    assert structs.merge_secrets(old, {"host": "h"}) == {"host": "h", "token": "t0", "other": "t1"}


def test_items_of_lists_and_tables_keep_their_own_secrets() -> None:
    old = structs.decode(Config, FULL)
    masked = structs.public(old)
    masked["headers"].reverse()
    masked["keys"] = {"two": Secret.MASK, "three": "t7"}
    merged = structs.merge_secrets(old, masked)
    assert merged["headers"] == [{"name": "B", "value": "t4"}, {"name": "A", "value": "t3"}]
    assert merged["keys"] == {"two": "t6", "three": "t7"}


def test_a_mask_without_an_old_secret_is_refused_by_decode() -> None:
    old = structs.decode(Config, FULL)
    masked = structs.public(old)
    masked["headers"][0]["name"] = "C"
    with pytest.raises(Invalid) as refused:
        structs.decode(Config, structs.merge_secrets(old, masked))
    assert refused.value.errors[0].pointer == "/headers/0/value"


def test_other_types_are_no_config() -> None:
    class Odd(msgspec.Struct):
        number: complex = 1j

    with pytest.raises(TypeError, match="complex cannot be written as JSON"):
        structs.public(Odd())
    with pytest.raises(Invalid, match="The input is not valid"):
        structs.decode(Odd, {"number": "1"})
