"""Values of a config on the command line: typed as the integration's type wants them."""

import io
from pathlib import Path
from typing import Any

import pytest
import typer

from hub.client.commands import values
from hub.plugins import PluginHost
from hub.structs import schema

TYPES = PluginHost.load(quiet=True).destinations


def schema_of(kind: str) -> Any:
    return schema(TYPES[kind].config)


@pytest.mark.parametrize(
    ("kind", "assigned", "wanted"),
    [
        (
            "syslog",
            ["host=logs.example.com", "port=6514"],
            {"host": "logs.example.com", "port": 6514},
        ),
        ("syslog", ["host=10"], {"host": "10"}),
        ("papertrail", ["mode=https", "token=12345"], {"mode": "https", "token": "12345"}),
        ("papertrail", ["token=true"], {"token": "true"}),
        ("papertrail", ["token="], {"token": ""}),
        (
            "webhook",
            ["headers.X-Team=7", 'headers.Y="q"'],
            {"headers": {"X-Team": "7", "Y": '"q"'}},
        ),
        ("webhook", ['headers={"A": "b"}'], {"headers": {"A": "b"}}),
        ("webhook", ["url=https://e.example.com/?a=b"], {"url": "https://e.example.com/?a=b"}),
        ("webhook", ["unheard=5"], {"unheard": 5}),
    ],
)
def test_a_value_is_what_its_setting_wants(
    kind: str, assigned: list[str], wanted: dict[str, Any]
) -> None:
    assert values.config(assigned, None, (), schema_of(kind)) == wanted


def test_files_and_standard_input_hold_what_others_should_not_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, whole = tmp_path / "token", tmp_path / "config.json"
    token.write_text("12345\n")
    whole.write_text('{"mode": "classic", "port": 1}')
    found = values.config(
        ["mode=https", f"token=@{token}"], str(whole), (), schema_of("papertrail")
    )
    assert found == {"mode": "https", "port": 1, "token": "12345"}
    monkeypatch.setattr("sys.stdin", io.StringIO('{"a": 1}'))
    assert values.read_json("-", "--config") == {"a": 1}


@pytest.mark.parametrize(
    ("assigned", "why"),
    [
        ("host", "NAME=VALUE"),
        ("=x", "NAME=VALUE"),
        ("token=@/nowhere/token", "No such file"),
    ],
)
def test_what_cannot_be_put_together_is_told(assigned: str, why: str) -> None:
    with pytest.raises(typer.BadParameter, match=why):
        values.config([assigned], None, (), {})
    with pytest.raises(typer.BadParameter, match="is no object"):
        values.config(["a=1", "a.b=2"], None, (), {})


@pytest.mark.parametrize("text", ["[1]", "{", '"x"'])
def test_what_is_no_object_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(typer.BadParameter, match="not a JSON object"):
        values.read_json(str(file), "--shape")


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_the_settings_of_every_type_are_listed(kind: str) -> None:
    described = schema_of(kind)
    listed = {one.name: one for one in values.settings(described)}
    assert listed
    assert all(one.kind != "anything" for one in listed.values()), listed
    assert "secret" not in {one.kind for name, one in listed.items() if name == "host"}


def test_a_secret_is_called_one() -> None:
    listed = {one.name: one for one in values.settings(schema_of("papertrail"))}
    assert listed["token"].kind == "secret"
    assert listed["mode"].kind == "classic or https or token"
