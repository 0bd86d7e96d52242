"""`hub.toml` and the environment: typed, with errors that say where."""

from pathlib import Path

import msgspec
import pytest

from hub.config import CORE, Source, load
from hub.errors import ConfigError
from hub.secret import Secret
from hub.services import ConfigSection
from hub.settings import HttpSettings, Settings

SAMPLE = """\
# A hub with what people set most.
[hub]
name = "größer"
services = [
    "accounts",  # with a comment, and a "quote
    "gateway",
]
drain = 12.5

[http]
host = '0.0.0.0'
port = 8080
certificate = "tls/cert.pem"
key = "tls/key.pem"

[postgres]
password = \"\"\"a "quoted\" = # [password]\"\"\"

[vault]
key_file = "/etc/isaax/vault.key"
old_key_files = ["old/1.key", "old/2.key"]

[pager]
server.host = "mail.example"
retries = [1, 2, 3]
headers = { X-One = "1", "X Two" = "2" }
"""


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A nested table."""

    host: str = "localhost"
    password: Secret = Secret("")


class Mail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plugin's section.

    Args:
        retries: seconds between
            two attempts.
    """

    server: Server = Server()
    retries: tuple[int, ...] = ()
    headers: dict[str, str] = {}
    key: Secret | None = None
    spool: Path = Path("spool")
    enabled: bool = True

    def __post_init__(self) -> None:
        if len(self.retries) > 3:
            raise ValueError("three retries are enough")


MAIL = ConfigSection("pager", Mail)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "hub.toml"
    path.write_text(SAMPLE)
    return path


def refusal(path: Path, text: str, environ: dict[str, str] | None = None) -> str:
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load(path, environ or {}, [MAIL])
    return refused.value.detail


def test_a_file_becomes_typed_settings(config: Path) -> None:
    settings = load(config, {}, [MAIL])
    assert settings.hub.name == "größer"
    assert settings.hub.services == ("accounts", "gateway")
    assert settings.http.port == 8080
    assert settings.postgres.password.reveal() == 'a "quoted" = # [password]'
    mail = settings.plugins[Mail]
    assert isinstance(mail, Mail)
    assert mail.server.host == "mail.example"
    assert mail.headers == {"X-One": "1", "X Two": "2"}


def test_without_a_file_everything_has_its_default() -> None:
    settings = load(None, {}, [])
    defaults = Settings()
    assert settings.hub == defaults.hub
    assert settings.http == defaults.http
    assert settings.vault.key_file == Path.cwd() / defaults.vault.key_file


def test_relative_paths_are_meant_from_the_folder_of_the_file(config: Path) -> None:
    settings = load(config, {}, [MAIL])
    folder = config.parent
    assert settings.http.certificate == folder / "tls/cert.pem"
    assert settings.vault.key_file == Path("/etc/isaax/vault.key")
    assert settings.vault.old_key_files == (folder / "old/1.key", folder / "old/2.key")
    mail = settings.plugins[Mail]
    assert isinstance(mail, Mail)
    assert mail.spool == folder / "spool"


def test_the_environment_overrides_the_file(config: Path) -> None:
    environ = {
        "ISAAX_HTTP_PORT": "9090",
        "ISAAX_HUB_SERVICES": "auth, relay,",
        "ISAAX_HUB_DRAIN": "1.5",
        "ISAAX_RELAY_PRIVATE_HOSTS": "True",
        "ISAAX_HTTP_CERTIFICATE": "",
        "ISAAX_PAGER_SERVER": '{"host": "other", "password": "hunter2"}',
        "ISAAX_PAGER_RETRIES": "5,6",
        "ISAAX_PAGER_KEY": "k",
        "ISAAX_VAULT_OLD_KEY_FILES": "",
        "PATH": "/bin",
    }
    settings = load(config, environ, [MAIL])
    assert settings.http.port == 9090
    assert settings.http.certificate is None
    assert settings.hub.services == ("auth", "relay")
    assert settings.hub.drain == 1.5
    assert settings.relay.private_hosts is True
    assert settings.vault.old_key_files == ()
    mail = settings.plugins[Mail]
    assert isinstance(mail, Mail)
    assert mail.server == Server("other", Secret("hunter2"))
    assert mail.retries == (5, 6)
    assert mail.key == Secret("k")


def test_a_secret_can_come_from_a_file(config: Path, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    settings = load(config, {"ISAAX_POSTGRES_PASSWORD_FILE": str(secret)}, [MAIL])
    assert settings.postgres.password == Secret("hunter2")


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        (
            {"ISAAX_HTTP_PORT": "many"},
            "environment variable ISAAX_HTTP_PORT: Expected int, got str",
        ),
        ({"ISAAX_RELAY_PRIVATE_HOSTS": "perhaps"}, "ISAAX_RELAY_PRIVATE_HOSTS: Expected bool"),
        (
            {"ISAAX_HTTP_PROT": "1"},
            "environment variable ISAAX_HTTP_PROT: there is no such setting",
        ),
        ({"ISAAX_NATS_PASSWORD_FILE": "/nowhere"}, "/nowhere: No such file or directory"),
        (
            {"ISAAX_NATS_PASSWORD_FILE": "x", "ISAAX_NATS_PASSWORD": "y"},
            "only one of ISAAX_NATS_PASSWORD and ISAAX_NATS_PASSWORD_FILE may be set",
        ),
        ({"ISAAX_PAGER_SERVER": "{"}, "environment variable ISAAX_PAGER_SERVER: is not JSON"),
    ],
)
def test_an_error_in_the_environment_names_the_variable(
    config: Path, environ: dict[str, str], said: str
) -> None:
    assert said in refusal(config, SAMPLE, environ)


def test_errors_name_file_line_and_key(config: Path) -> None:
    said = refusal(
        config,
        "[http]\nport = 'x'\n[hub]\n\nservices = [\n 'a',\n 3]\n[pager.server]\nprot = 1\n"
        "[elsewhere]\n",
    )
    assert said.splitlines() == [
        f"{config}:7: hub.services.1: Expected str, got int",
        f"{config}:2: http.port: Expected int, got str",
        f"{config}:9: pager.server.prot: is not a known field",
        f"{config}:10: elsewhere: is not a known section (known: "
        "http, hub, mail, mqtt, nats, pager, postgres, relay, vault)",
    ]


def test_an_error_points_into_the_file_as_json_pointer_too(config: Path) -> None:
    config.write_text("[http]\nport = 'x'\n")
    with pytest.raises(ConfigError) as refused:
        load(config, {}, [])
    assert [error.pointer for error in refused.value.errors] == ["/http/port"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hub = 1", ":1: hub: must be a table"),
        ("[pager]\nretries = [1, 2, 3, 4]", ":1: pager: three retries are enough"),
        ("[hub]\nname = \n", ":2: Invalid value"),
        ("[hub]\nname = 'a'\nname = 'b'\n", ":3: Cannot overwrite a value"),
        ("a = " + "[" * 5000, ":1: arrays or tables are nested too deep"),
        ("[http]\npublic_url = 'hub.example.com'", ":1: http: public_url is like https://"),
        ("[http]\npublic_url = 'https://hub/isaax'", ":1: http: public_url is like https://"),
        ("[postgres]\npassword = 5", ":2: postgres.password: Expected str, got int"),
        ("[postgres]\npassword = '********'", ":2: postgres.password: this is what a secret is"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_line(config: Path, text: str, said: str) -> None:
    assert refusal(config, text).startswith(f"{config}{said}")


@pytest.mark.parametrize(
    ("http", "origin"),
    [
        (HttpSettings(), "http://127.0.0.1:7800"),
        (HttpSettings(host="::", port=80), "http://[::1]:80"),
        (HttpSettings(host="hub.lan", certificate=Path("a")), "https://hub.lan:7800"),
        (HttpSettings(public_url="https://hub.example.com/"), "https://hub.example.com"),
        (HttpSettings(public_url="https://[2001:db8::1]:8443"), "https://[2001:db8::1]:8443"),
    ],
)
def test_where_links_lead(http: HttpSettings, origin: str) -> None:
    assert http.origin == origin


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"hub\.toml: No such file"):
        load(tmp_path / "hub.toml", {}, [])


def test_a_section_of_a_plugin_that_could_not_be_loaded_is_let_be(config: Path) -> None:
    settings = load(config, {}, [], ignore=["pager"])
    assert settings.http.port == 8080


def test_a_truncated_file_loads_or_is_refused_with_a_line(config: Path) -> None:
    whole = SAMPLE.encode()
    loaded = refused = 0
    for size in range(len(whole)):
        config.write_bytes(whole[:size])
        try:
            load(config, {}, [MAIL])
        except ConfigError as error:
            refused += 1
            for line in error.detail.splitlines():
                number = line.removeprefix(f"{config}:").partition(":")[0]
                assert number.isdecimal(), line
                assert 1 <= int(number) <= whole[:size].count(b"\n") + 1
        else:
            loaded += 1
    assert loaded > 50
    assert refused > 50


def test_a_secret_never_shows_in_an_error(config: Path) -> None:
    said = refusal(config, '[postgres]\npassword = ["hunter2"]\n[nats]\npassword = {a="hunter2"}')
    assert "hunter2" not in said


def test_every_setting_can_be_shown_with_where_it_comes_from(config: Path) -> None:
    source = Source.read(config, {"ISAAX_HTTP_HOST": "::"})
    shown = {
        (one.section, one.name): one
        for section in (*CORE, MAIL)
        for one in source.describe(section, source.section(section))
    }
    port = shown["http", "port"]
    assert (port.type, port.default, port.env, port.value) == (
        "int", "7800", "ISAAX_HTTP_PORT", "8080",
    )  # fmt: skip
    assert port.source == f"{config}:12"
    assert shown["http", "host"].source == "environment"
    assert shown["http", "max_body"].source == "default"
    assert shown["postgres", "password"].value == '"********"'
    assert shown["pager", "retries"].doc == "seconds between two attempts."
    assert shown["http", "certificate"].type == "Path | None"


def test_a_section_whose_name_begins_as_anothers_has_its_own_variables() -> None:
    """`http_listener` beside `http`; what belongs to neither is still refused."""

    class Listening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        port: int = 0

    section = ConfigSection("http_listener", Listening)
    loaded = load(None, {"ISAAX_HTTP_LISTENER_PORT": "4318", "ISAAX_HTTP_PORT": "80"}, [section])
    assert loaded.plugins[Listening] == Listening(4318)
    assert loaded.http.port == 80
    for variable in ("ISAAX_HTTP_LISTENER_PORTS", "ISAAX_HTTP_LISTENERS"):
        with pytest.raises(ConfigError, match=f"{variable}: there is no such setting"):
            load(None, {variable: "1"}, [section])
