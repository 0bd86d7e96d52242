"""The command line: its commands, its errors and its exit codes."""

import re
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.core import TyperCommand

from hub import cli, process
from hub.client.commands import COMMANDS
from hub.client.errors import BadUrl, Lost, NotLoggedIn, Problem
from hub.errors import ConfigError, StartError, Unavailable
from hub.planning import Unplannable
from hub.plugins import PluginHost


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a hub.toml, and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ISAAX_CONFIG", raising=False)
    monkeypatch.setenv("COLUMNS", "300")
    cli._loaded.cache_clear()
    return tmp_path


def isaax(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command line, and give its exit code."""
    monkeypatch.setattr(sys, "argv", ["isaax", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    code = ended.value.code
    return code if isinstance(code, int) else 0


type_of_capture = pytest.CaptureFixture[str]


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: type_of_capture) -> None:
    assert isaax(monkeypatch, "version") == 0
    assert capsys.readouterr().out == f"isaax {version('isaax')}\n"


def test_help_lists_our_commands_and_those_of_plugins(
    monkeypatch: pytest.MonkeyPatch, capsys: type_of_capture
) -> None:
    assert isaax(monkeypatch, "--help") == 0
    text = capsys.readouterr().out
    for command in ("serve", "up", "config", "plugins", "version", "accounts", *COMMANDS):
        assert re.search(rf"\b{command}\b", text), command


def test_what_the_help_says_of_slow_commands_is_what_they_say() -> None:
    loaded = cli._loaded()
    assert {name: one.help.partition("\n\n")[0] for name, one in loaded.items()} == cli.SLOW


def test_commands_of_other_plugins_are_listed_where_they_are_allowed(
    monkeypatch: pytest.MonkeyPatch, capsys: type_of_capture, here: Path
) -> None:
    other = {"weather": TyperCommand("weather", help="What it is like outside.")}
    loaded = {**cli._loaded(), **other}
    monkeypatch.setattr(cli, "_loaded", lambda: loaded)
    assert isaax(monkeypatch, "--help") == 0
    assert "weather" not in capsys.readouterr().out
    (here / "hub.toml").write_text('[hub]\nplugins = ["weather"]\n')
    assert isaax(monkeypatch, "--help") == 0
    assert "What it is like outside." in capsys.readouterr().out


def test_no_plugin_of_ours_has_a_command_of_the_clients_name() -> None:
    assert set(PluginHost.load(quiet=True).commands) & set(COMMANDS) == set()


def test_a_command_of_a_plugin_is_run(
    monkeypatch: pytest.MonkeyPatch, capsys: type_of_capture
) -> None:
    assert isaax(monkeypatch, "accounts", "token", "--help") == 0
    assert "API token" in capsys.readouterr().out


def test_an_unknown_command_is_bad_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: type_of_capture
) -> None:
    assert isaax(monkeypatch, "nonsense") == 2
    assert "nonsense" in capsys.readouterr().err


def test_a_good_config_is_valid_and_says_what_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: type_of_capture, here: Path
) -> None:
    (here / "hub.toml").write_text("[http]\nport = 8080\n")
    assert isaax(monkeypatch, "config", "check") == 0
    text = capsys.readouterr().out
    assert text.startswith("hub.toml: valid\nstarts: database, ")
    assert text.rstrip().endswith("gateway")


@pytest.mark.parametrize(
    "command", [["config", "check"], ["config", "show"], ["serve"], ["plugins"]]
)
def test_a_bad_config_is_told_by_line_and_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: type_of_capture, here: Path, command: list[str]
) -> None:
    (here / "my.toml").write_text("[http]\nport = 'x'\n[nowhere]\n")
    assert isaax(monkeypatch, *command, "--config", "my.toml") == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "isaax: The configuration is not valid:"
    assert said[1] == "  my.toml:2: http.port: Expected int, got str"
    assert said[2].startswith("  my.toml:3: nowhere: is not a known section")


def test_services_that_do_not_add_up_are_told_by_check(
    monkeypatch: pytest.MonkeyPatch, capsys: type_of_capture
) -> None:
    monkeypatch.setenv("ISAAX_HUB_SERVICES", "auth")
    assert isaax(monkeypatch, "config", "check") == 2
    assert "the service auth needs projects: add it to hub.services" in capsys.readouterr().err


def test_the_config_is_shown_without_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: type_of_capture, here: Path
) -> None:
    (here / "hub.toml").write_text("[postgres]\npassword = 'hunter2'\n")
    monkeypatch.setenv("ISAAX_HTTP_PORT", "1234")
    assert isaax(monkeypatch, "config", "show") == 0
    text = capsys.readouterr().out
    assert "hunter2" not in text
    variables = "ISAAX_POSTGRES_PASSWORD or ISAAX_POSTGRES_PASSWORD_FILE"
    assert f'# Secret, default "", {variables}; from: hub.toml:2\npassword = "********"\n' in text
    assert "# int, default 7800, ISAAX_HTTP_PORT; from: environment\nport = 1234\n" in text
    assert "\n[auth]\n" in text


def test_plugins_are_listed_with_what_they_provide(
    monkeypatch: pytest.MonkeyPatch, capsys: type_of_capture
) -> None:
    monkeypatch.setenv("ISAAX_HUB_PLUGINS", "weather")
    assert isaax(monkeypatch, "plugins") == 0
    rows = [re.split(r"\s{2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    assert ["core", "isaax", version("isaax"), "active", "account-data relay"] in rows
    assert ["weather", "disabled: it is not installed", "nothing"] in rows


def test_a_broken_config_does_not_hide_the_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: type_of_capture, here: Path
) -> None:
    (here / "hub.toml").write_text("[hub\n")
    assert isaax(monkeypatch, "accounts", "--help") == 0
    assert "token" in capsys.readouterr().out


def test_a_command_of_this_machine_finds_its_hub(
    monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    """The file that is named, or ./hub.toml, or that of the hub of `isaax up` that runs."""

    def port(config: Path | None = None, **environ: str) -> int:
        return process.at_terminal(config, environ).http.port

    usual = here / "data"
    monkeypatch.setattr(process, "default_data", lambda: usual)
    assert port() == 7800
    usual.mkdir()
    for number, name in enumerate(("data/running.toml", "hub.toml", "named.toml", "given.toml"), 1):
        (here / name).write_text(f"[http]\nport = {number}\n")
    assert port() == 2
    (here / "hub.toml").unlink()
    assert port() == 1
    assert port(ISAAX_CONFIG="named.toml") == 3
    assert port(here / "given.toml", ISAAX_CONFIG="named.toml") == 4


def test_exit_codes_tell_the_config_from_all_else() -> None:
    assert cli.exit_code(ConfigError("x")) == 2
    assert cli.exit_code(Unplannable("x")) == 2
    assert cli.exit_code(Unavailable("x")) == 1
    assert cli.exit_code(Lost("x")) == 1
    assert cli.exit_code(BadUrl("x")) == 2
    assert cli.exit_code(NotLoggedIn(Problem())) == 3
    started = StartError("x")
    assert cli.exit_code(started) == 1
    started.__cause__ = ConfigError("vault.key is missing")
    assert cli.exit_code(started) == 2
