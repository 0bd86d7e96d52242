"""The configuration: what is valid, and what an error says."""

import re
import stat
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import BEGIN_MARK, END_MARK, ConfigError, Server, Source, load, parse, server_of
from agent.identity import with_device, write_device
from agent.settings import AgentConfig
from agent.state import Identity

PATH = Path("/etc/isaax.conf")
MINIMAL = 'project = "prj_a"\nprojectToken = "secret-token"\nserver = "mqtts://hub.example"\n'
FULL = f"""\
{BEGIN_MARK}
project = "prj_a"
projectToken = "secret-token"
deviceID = "dev_b"  # as the hub calls it
deviceKey = "{"0f" * 32}"
server = "mqtts://hub.example:8884"
caFile = "/etc/ssl/hub.pem"
allowPlaintext = false
stateDir = "/var/lib/isaax-agent"

[app]
name = "thermostat"
command = ["python3", "-u", "app.py"]
directory = "/var/isaax/project"
user = "nobody"
restart = "on-failure"
stopSeconds = 2.5

[syslog]
socket = "/run/isaax/log"
journald = "auto"
files = ["/var/log/nginx/error.log"]

[logs]
sys = false

[spool]
maxBytes = 1048576
maxBatchLines = 100
{END_MARK}
"""


def read(text: str) -> AgentConfig:
    return parse(Source(PATH, text))


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


def test_a_full_file() -> None:
    config = read(FULL)
    assert config.app is not None
    assert (config.app.command, config.app.stop_seconds) == (["python3", "-u", "app.py"], 2.5)
    assert config.syslog.files == [Path("/var/log/nginx/error.log")]
    assert (config.logs.app, config.logs.sys) == (True, False)
    assert config.spool.max_batch_lines == 100
    assert server_of(config) == Server("hub.example", 8884, tls=True)


@pytest.mark.parametrize(
    ("written", "size"), [("65536000", 65_536_000), ("'64M'", 64 << 20), ("'1 G'", 1 << 30)]
)
def test_sizes(written: str, size: int) -> None:
    config = read(f"{MINIMAL}[app]\ncommand = 'x'\nmemoryMax = {written}\n")
    assert config.app is not None
    assert config.app.memory_max == size


def test_several_programs() -> None:
    config = read(FULL.replace("[syslog]", "[programs.web]\ncommand = 'web'\n[syslog]"))
    assert list(config.supervised) == ["app", "web"]
    assert config.directory == Path("/var/isaax/project")


def test_what_the_hub_may_ask_for_by_name() -> None:
    """As docs/commands.md tells."""
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    commands = parse(Source(PATH, MINIMAL + example)).commands
    assert commands == {
        "flush-cache": ["/usr/local/bin/cachectl", "flush"],
        "say": 'wall "$ISAAX_ARG_TEXT"',
    }


def test_a_minimal_file() -> None:
    config = read(MINIMAL)
    assert server_of(config) == Server("hub.example", 8883, tls=True)
    assert (config.device_id, config.app, config.state_dir) == (
        "",
        None,
        Path("/var/lib/isaax-agent"),
    )


def test_secrets_do_not_show() -> None:
    shown = repr(read(FULL))
    assert "secret-token" not in shown
    assert "0f0f" not in shown


def test_a_file_that_was_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "isaax.conf"
    whole = FULL.encode()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ConfigError) as caught:
            load(path)
        assert caught.value.line is not None
        assert str(caught.value).startswith(f"{path}:{caught.value.line}: ")


def test_a_minimal_file_that_was_cut_anywhere_is_refused() -> None:
    for size in range(len(MINIMAL)):
        assert refusal(MINIMAL[:size]).startswith(f"{PATH}")


@pytest.mark.parametrize(
    ("added", "words"),
    [
        ("colour = 1\n", ":4: colour: there is no such key"),
        ("[spool]\nmaxbytes = 1\n", ":5: spool.maxbytes: there is no such key"),
        ("[spool]\n\nmaxBytes = 1\n", ":6: spool.maxBytes: Expected `int` >= 262144"),
        ('[spool]\nmaxBytes = "a lot"\n', ":5: spool.maxBytes: Expected `int`, got `str`"),
        ("[app]\nname = 'x'\n", ":4: app: Object missing required field `command`"),
        ("[app]\ncommand = []\n", ":4: app: command is empty"),
        ("[app]\ncommand = 'x'\nreload = []\n", ":4: app: reload is empty"),
        ("[app]\ncommand = 'x'\nmemoryMax = '64 MB'\n", ":6: app.memoryMax: expected bytes"),
        ("[app]\ncommand = 'x'\nmemoryMax = true\n", ":6: app.memoryMax: expected bytes"),
        ("[app]\ncommand = 'x'\nmemoryMax = '4K'\n", ":4: app: memoryMax is less than 1M"),
        ("[app]\ncommand = 'x'\ncpuPercent = 0\n", ":6: app.cpuPercent: Expected `int` >= 1"),
        ("[programs.a]\ncommand = 7\n", ":5: programs.a.command: Expected `str | array`"),
        ("[programs.a]\ncommand = 'x'\n[programs.b]\nx = 1\n", ":7: programs.b.x: there is no"),
        ("[programs.'a b']\ncommand = 'x'\n", ": programs.a b: a program's name has 1"),
        ("programs = 3\n", ":4: programs: Expected `object`"),
        (
            "[app]\ncommand = 'x'\n[programs.app]\ncommand = 'y'\n",
            ":6: programs.app: [app] describes this program already",
        ),
        (
            "".join(f"[programs.p{n}]\ncommand = 'x'\n" for n in range(17)),
            ": programs: these are more than 16 programs",
        ),
        ("[commands]\nFlush = 'x'\n", ":5: commands.Flush: a name has lower-case letters"),
        ("[commands]\nflush = []\n", ":5: commands.flush: the command is empty"),
        ("rebootCommand = []\n", ":4: rebootCommand: the command is empty"),
        ("bootIDFile = 'boot'\n", ":4: bootIDFile: expected a path that starts with /"),
        ("[app]\ncommand = 7\n", ":5: app.command: Expected `str | array`, got `int`"),
        ("[app]\ncommand = 'x'\nrestart = 'maybe'\n", ":6: app.restart: Invalid enum value"),
        ('[syslog]\nsocket = "log"\n', ":5: syslog.socket: expected a path that starts with /"),
        ('[syslog]\nfiles = ["/a", 3]\n', ":5: syslog.files: expected a string"),
        ("[syslog]\njournald = 'yes'\n", ":5: syslog.journald: Invalid enum value 'yes'"),
        ("[[app]]\ncommand = 'x'\n", ":4: app: Expected `object"),
        ("server = 'x'\n", ":4: not valid TOML: Cannot overwrite a value"),
        ('deviceID = "d"\n', ":4: deviceID: there is no deviceKey with it"),
        ('deviceKey = "d"\n', ":4: deviceKey: there is no deviceID with it"),
        ('deviceID = "d"\ndeviceKey = "d"\n', ":5: deviceKey: expected 64 hexadecimal digits"),
    ],
)
def test_an_error_names_file_line_and_key(added: str, words: str) -> None:
    assert refusal(MINIMAL + added).startswith(f"{PATH}{words}")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://hub", "expected mqtts://"),
        ("hub.example", "expected mqtts://"),
        ("mqtts://", "expected mqtts://"),
        ("mqtts://hub:99999", "Port out of range"),
        ("mqtts://user@hub", "expected mqtts://"),
        ("mqtts://hub/path", "expected mqtts://"),
        ("mqtt://hub.example", "unencrypted"),
        ("mqtt://10.0.0.1", "unencrypted"),
        ("mqtt://127.0.0.1.example", "unencrypted"),
    ],
)
def test_a_server_that_cannot_be_used(url: str, words: str) -> None:
    message = refusal(MINIMAL.replace("mqtts://hub.example", url))
    assert message.startswith(f"{PATH}:3: server: ")
    assert words in message


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_plaintext_stays_on_this_machine(host: str) -> None:
    config = read(MINIMAL.replace("mqtts://hub.example", f"mqtt://{host}"))
    assert server_of(config).port == 1883


def test_plaintext_can_be_allowed() -> None:
    text = MINIMAL.replace("mqtts", "mqtt") + "allowPlaintext = true\n"
    assert server_of(read(text)) == Server("hub.example", 1883, tls=False)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.conf")
    (tmp_path / "some.conf").write_bytes(b'project = "a"\n\xff\n')
    with pytest.raises(ConfigError, match=r"some\.conf:2: this is not UTF-8"):
        load(tmp_path / "some.conf")


def test_a_registration_changes_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "isaax.conf"
    text = f"# mine\n{MINIMAL}deviceID = ''\n\n[app]  # the app\ncommand = 'x'\n"
    path.write_text(text)
    path.chmod(0o644)
    write_device(path, "dev_b", "0f" * 32)
    added = f'deviceID = "dev_b"\ndeviceKey = "{"0f" * 32}"\n'
    expected = text.replace("deviceID = ''\n", "").replace(
        'secret-token"\n', f'secret-token"\n{added}'
    )
    assert path.read_text() == expected
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["isaax.conf"]
    assert load(path).device_id == "dev_b"


def test_a_registration_goes_through_a_symbolic_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.conf", tmp_path / "isaax.conf"
    real.write_text(MINIMAL)
    link.symlink_to(real)
    write_device(link, "dev_b", "0f" * 32)
    assert link.is_symlink()
    assert load(real).device_id == "dev_b"


def test_a_registration_of_a_marked_file_keeps_its_marks() -> None:
    text = f"{BEGIN_MARK}\n{MINIMAL}{END_MARK}\n"
    assert read(with_device(PATH, text, "d", "0f" * 32)).device_id == "d"


@given(st.lists(st.sampled_from(['"""', "projectToken = 1", "[app]", "x = 1", "'''", "# y", ""])))
def test_a_registration_of_odd_text_is_right_or_refused(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    try:
        after = with_device(PATH, text, "d", "k")
    except ConfigError:
        return
    assert tomllib.loads(after) == {**tomllib.loads(text), "deviceID": "d", "deviceKey": "k"}


def test_a_config_that_lost_its_device_does_not_make_a_new_one(tmp_path: Path) -> None:
    config = read(MINIMAL + f'deviceID = "dev_b"\ndeviceKey = "{"0f" * 32}"\n')
    Identity(PATH, config, tmp_path).check()
    Identity(PATH, config, tmp_path).check()
    with pytest.raises(ConfigError, match="belongs to the device dev_b, and this names none"):
        Identity(PATH, read(MINIMAL), tmp_path).check()
    other = msgspec.structs.replace(config, device_id="dev_c")
    with pytest.raises(ConfigError, match="this names dev_c"):
        Identity(PATH, other, tmp_path).check()
