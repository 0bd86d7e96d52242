"""`isaax plugins`: what it writes, allows, tells the hub, and finds wrong."""

import asyncio
import os
import re
import stat
import sys
import tomllib
from pathlib import Path

import pytest

from hub.authoring import scaffold
from hub.authoring.allow import allow, forbid, restore
from hub.authoring.checking import check
from hub.authoring.commands import config_of
from hub.authoring.packages import canonical, check_environment, distribution_of, plugins_of
from hub.control import Ask, Told, address_of, ask, listening, may_answer
from hub.errors import ConfigError, PluginError
from tests.unit.test_cli import isaax, type_of_capture

GUIDE = Path(__file__).parents[2] / "docs" / "plugins.md"

# ── new ───────────────────────────────────────────────────────────────────────────────────────


def test_new_writes_a_package_of_under_thirty_lines(tmp_path: Path) -> None:
    folder = scaffold.write("weather_log", tmp_path / "mine")
    files = {str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()}
    assert files == {
        "README.md", "isaax_weather_log.py", "pyproject.toml", "sample.json",
        "tests/test_weather_log.py",
    }  # fmt: skip
    assert len((folder / "isaax_weather_log.py").read_text().splitlines()) < 30
    test = (folder / "tests" / "test_weather_log.py").read_text()
    assert len([line for line in test.splitlines() if line]) <= 6
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "isaax-weather-log"
    assert project["entry-points"]["isaax"] == {"weather_log": "isaax_weather_log"}


@pytest.mark.parametrize("name", ["", "A", "9lives", "a-b", "../up", "a" * 40])
def test_new_refuses_what_is_no_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(PluginError, match="cannot be a plugin's name"):
        scaffold.write(name, tmp_path / "x")


def test_new_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(PluginError, match="is not empty"):
        scaffold.write("weather", tmp_path)


# ── check ─────────────────────────────────────────────────────────────────────────────────────


def test_what_new_writes_passes_the_check(tmp_path: Path) -> None:
    result = check(str(scaffold.write("weather", tmp_path / "mine")))
    assert result.plugins == {"weather": ("destination weather",)}
    assert not result.problems
    assert not result.untried
    assert [case for case in result.cases if case.complaint] == []
    count = len(result.cases)
    assert f"\n{count} of {count} cases hold\n" in GUIDE.read_text(), "as the guide shows it"


def test_check_says_what_to_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: type_of_capture
) -> None:
    folder = scaffold.write("weather", tmp_path / "mine")
    module = folder / "isaax_weather.py"
    module.write_text(re.sub(r"answer\.check\(\).*", "print(answer)", module.read_text()))
    assert isaax(monkeypatch, "plugins", "check", str(folder)) == 1
    said = capsys.readouterr().out
    assert "✗ weather: 429, 502, 503, 504: the same batch comes again, and is then taken." in said
    assert "503 means later: raise Retry (answer.check() does), not None" in said
    assert re.search(r"\d+ of \d+ cases hold", said)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import a_module_that_is_missing", "No module named 'a_module_that_is_missing'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import os\nos._exit(3)", "the process that tried it ended"),
    ],
)
def test_check_names_what_cannot_be_loaded(tmp_path: Path, source: str, told: str) -> None:
    folder = scaffold.write("weather", tmp_path / "mine")
    (folder / "isaax_weather.py").write_text(source)
    try:
        said = check(str(folder)).problems["weather"]
    except PluginError as error:
        said = error.detail
    assert told in said


def test_check_knows_folders_and_installed_plugins_alone(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="neither a folder nor an installed plugin"):
        check("no_such_plugin")
    with pytest.raises(PluginError, match="No such file"):
        check(str(tmp_path))
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    with pytest.raises(PluginError, match=r"has no \[project.entry-points.isaax\]"):
        check(str(tmp_path))


# ── the list of the allowed ───────────────────────────────────────────────────────────────────


def test_allowing_keeps_everything_else(tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    config.write_text('# mine\n[http]\nport = 1  # a port\n\n[hub]\n# listed\nplugins = ["a"]\n')
    config.chmod(0o640)
    allow(config, "b", "a")
    assert config.read_text() == (
        '# mine\n[http]\nport = 1  # a port\n\n[hub]\n# listed\nplugins = ["a", "b"]\n'
    )
    assert stat.S_IMODE(config.stat().st_mode) == 0o640
    forbid(config, "a")
    assert tomllib.loads(config.read_text())["hub"]["plugins"] == ["b"]
    assert os.listdir(tmp_path) == ["hub.toml"]


def test_a_config_that_is_not_there_is_made(tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    forbid(config, "a")
    assert not config.exists()
    allow(config, "a")
    assert tomllib.loads(config.read_text()) == {"hub": {"plugins": ["a"]}}
    assert stat.S_IMODE(config.stat().st_mode) == 0o600


def test_a_hub_that_is_not_there_is_noticed_before_anything_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: type_of_capture
) -> None:
    """Whether the folder stands before the command or behind it."""
    nowhere = str(tmp_path / "nowhere")
    orders = (["--data", nowhere, "install", "x"], ["install", "x", "--data", nowhere])
    for order in orders:
        assert isaax(monkeypatch, "plugins", *order) == 1
        assert f"there is no hub in {nowhere}: say which" in capsys.readouterr().err


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_text("")
    (tmp_path / "hub.toml").symlink_to("real.toml")
    allow(tmp_path / "hub.toml", "a")
    assert (tmp_path / "hub.toml").is_symlink()
    assert "a" in (tmp_path / "real.toml").read_text()


@pytest.mark.parametrize("text", ["[hub", "hub = 3\n"])
def test_a_config_that_cannot_be_understood_is_left_alone(tmp_path: Path, text: str) -> None:
    config = tmp_path / "hub.toml"
    config.write_text(text)
    with pytest.raises(ConfigError):
        allow(config, "a")
    assert config.read_text() == text


def test_putting_a_config_back_is_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, config = tmp_path / "real.toml", tmp_path / "hub.toml"
    real.write_bytes(b"# now\r\n")
    real.chmod(0o640)
    config.symlink_to("real.toml")
    monkeypatch.setattr(os, "replace", _full)
    with pytest.raises(OSError, match="no space"):
        restore(config, b"# before\r\n")
    assert real.read_bytes() == b"# now\r\n"
    monkeypatch.undo()
    restore(config, b"# before\r\n")
    assert config.is_symlink()
    assert real.read_bytes() == b"# before\r\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    allow(config, "a")
    assert b"# before\r\n" in real.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["hub.toml", "real.toml"]


def _full(_source: str, _target: Path) -> None:
    raise OSError(28, "no space")


def test_which_config_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert config_of(Path("my.toml"), None) == Path("my.toml")
    assert config_of(None, Path("/data")) == Path("/data/hub.toml")
    assert config_of(None, None).name == "hub.toml"
    assert config_of(None, None).is_absolute()
    Path("hub.toml").write_text("")
    assert config_of(None, None) == Path("hub.toml")


# ── packages ──────────────────────────────────────────────────────────────────────────────────


def test_the_systems_python_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    with pytest.raises(PluginError, match="environment of its own"):
        check_environment()


def test_distributions_and_their_plugins() -> None:
    assert canonical("Isaax.Weather__Log") == "isaax-weather-log"
    assert distribution_of("webhook") == "isaax"
    assert distribution_of("nobody") is None
    assert "webhook" in plugins_of("isaax")
    assert plugins_of("no-such-distribution") == []


# ── the running hub ───────────────────────────────────────────────────────────────────────────


async def test_the_command_line_asks_the_hub_that_has_the_config(tmp_path: Path) -> None:
    asked: list[Ask] = []

    async def handle(request: Ask) -> Told:
        asked.append(request)
        return Told("restarted", sys.prefix, "why", 1.5)

    config = tmp_path / "hub.toml"
    assert await asyncio.to_thread(ask, config, Ask("status")) is None
    async with listening(config, handle):
        told = await asyncio.to_thread(ask, config, Ask("reload", ("a",)))
        assert await asyncio.to_thread(ask, tmp_path / "other.toml", Ask("status")) is None
        async with listening(config, handle):  # another one with the same file
            assert address_of(config) == address_of(tmp_path / "." / "hub.toml")
    assert asked == [Ask("reload", ("a",))]
    assert told == Told("restarted", sys.prefix, "why", 1.5)
    assert await asyncio.to_thread(ask, config, Ask("status")) is None


def test_nobody_else_answers_in_the_hubs_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes the socket's name first would else tell root which program to run."""
    config, me, nobody = tmp_path / "hub.toml", os.geteuid(), 1  # a daemon of Debian's
    assert [may_answer(user, config) for user in (0, me, nobody)] == [True, True, False]
    config.touch(0o644)
    assert not may_answer(nobody, config)  # who may read it need not be the hub
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    assert may_answer(me, config)
    monkeypatch.setattr(os, "getgrouplist", lambda _name, _group: [config.stat().st_gid])
    assert may_answer(nobody, config)
    config.chmod(0o600)
    assert not may_answer(nobody, config)


async def test_nonsense_is_not_answered(tmp_path: Path) -> None:
    async def handle(request: Ask) -> Told:
        raise TypeError(f"nobody asked {request}")

    config = tmp_path / "hub.toml"
    async with listening(config, handle):
        reader, writer = await asyncio.open_unix_connection(address_of(config))
        writer.write(b"{}\n")
        assert await reader.read() == b""
        writer.close()


async def test_without_a_config_nobody_listens() -> None:
    async def handle(request: Ask) -> Told:
        raise TypeError(f"nobody asked {request}")

    async with listening(None, handle):
        assert handle is not None
