"""Which hub is meant, which token goes there, and how both are kept."""

import os
import stat
from pathlib import Path

import pytest

from hub.client import credentials
from hub.client.credentials import BadCredentials, Login, Logins, NoLogin, choose
from hub.client.errors import BadUrl
from hub.secret import Secret

HOME = Login("https://home.example.com", Secret("isx_home"), project="prj_1")
WORK = Login("https://work.example.com", Secret("isx_work"), ca_file="/ca.pem")
BOTH = Logins("home", {"home": HOME, "work": WORK})


def test_what_is_written_is_read_again_and_nobody_else_may(tmp_path: Path) -> None:
    path = tmp_path / "config" / "isaax" / "credentials.toml"
    odd = Login("http://127.0.0.1:7800", Secret('isx_"quoted"\\'), plain_http=True)
    logins = BOTH.with_login("a b.ü", odd)
    credentials.write(path, logins)
    assert credentials.read(path) == logins
    assert logins.current == "a b.ü"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_where_there_is_no_file_nobody_is_logged_in(tmp_path: Path) -> None:
    assert credentials.read(tmp_path / "none" / "credentials.toml") == Logins()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_read_is_not_used(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "credentials.toml"
    credentials.write(path, BOTH)
    path.chmod(mode)
    with pytest.raises(BadCredentials, match="others may read"):
        credentials.read(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[hubs", "it is not TOML"),
        ("[hubs.a]\nurl = 1\ntoken = 'isx_secret'", "Expected"),
        ("[hubs.a]\nurl = 'https://a'", "is required"),
    ],
)
def test_a_file_that_is_not_valid_is_told_without_what_is_in_it(
    tmp_path: Path, text: str, why: str
) -> None:
    path = tmp_path / "credentials.toml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(BadCredentials, match=why) as raised:
        credentials.read(path)
    assert "isx_secret" not in str(raised.value)


def test_the_file_is_where_xdg_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert str(credentials.default_file({})) == "/home/me/.config/isaax/credentials.toml"
    xdg = {"XDG_CONFIG_HOME": "/else"}
    assert str(credentials.default_file(xdg)) == "/else/isaax/credentials.toml"


def test_the_one_in_use_is_meant_unless_another_is_named() -> None:
    assert choose(BOTH, {}) == ("home", HOME)
    assert choose(BOTH, {}, "work") == ("work", WORK)
    with pytest.raises(NoLogin, match="do you mean work"):
        choose(BOTH, {}, "wrok")
    with pytest.raises(NoLogin, match="isaax login URL") as raised:
        choose(Logins(), {})
    assert raised.value.exit_code == 3


def test_the_environment_comes_first_and_a_name_before_it() -> None:
    environ = {"ISAAX_URL": "https://third.example.com/api/v1", "ISAAX_TOKEN": "isx_third"}
    name, login = choose(BOTH, environ)
    assert (name, login) == ("", Login("https://third.example.com", Secret("isx_third")))
    assert choose(BOTH, environ, "work") == ("work", WORK)
    name, login = choose(BOTH, {"ISAAX_TOKEN": "isx_other"})
    assert (name, login.url, login.token) == ("", HOME.url, Secret("isx_other"))


def test_the_account_that_is_meant_may_be_named() -> None:
    environ = {"ISAAX_URL": WORK.url, "ISAAX_ACCOUNT": "acc_1"}
    assert choose(BOTH, environ)[1].account == "acc_1"
    assert choose(BOTH, environ, "work")[1].account == ""


def test_a_token_of_the_file_goes_to_its_own_address_alone() -> None:
    with pytest.raises(NoLogin, match="ISAAX_URL needs ISAAX_TOKEN"):
        choose(BOTH, {"ISAAX_URL": "https://evil.example.com"})
    with pytest.raises(NoLogin):
        choose(BOTH, {"ISAAX_URL": "http://home.example.com"})
    known = choose(BOTH, {"ISAAX_URL": "https://work.example.com/"})[1]
    assert (known.token, known.ca_file) == (WORK.token, "/ca.pem")
    with pytest.raises(NoLogin, match="ISAAX_TOKEN needs ISAAX_URL"):
        choose(Logins(), {"ISAAX_TOKEN": "isx_x"})


@pytest.mark.parametrize(
    "url", ["http://hub.example.com", "http://10.0.0.1:7800", "http://[fe80::1]"]
)
def test_no_token_travels_in_clear_unless_that_is_wanted(url: str) -> None:
    environ = {"ISAAX_URL": url, "ISAAX_TOKEN": "isx_x"}
    with pytest.raises(BadUrl, match="--plain-http"):
        choose(Logins(), environ)
    assert choose(Logins(), {**environ, "ISAAX_PLAIN_HTTP": "1"})[1].plain_http
    kept = Logins("a", {"a": Login(url, Secret("isx_x"), plain_http=True)})
    assert choose(kept, {})[1].url == url


@pytest.mark.parametrize("host", ["127.0.0.1:7800", "127.9.9.9", "[::1]:7800", "localhost"])
def test_within_this_machine_it_may(host: str) -> None:
    environ = {"ISAAX_URL": f"http://{host}", "ISAAX_TOKEN": "isx_x"}
    assert choose(Logins(), environ)[1].url == f"http://{host}"


def test_what_is_forgotten_is_not_used_any_more() -> None:
    assert BOTH.without("home") == Logins("", {"work": WORK})
    assert BOTH.without("work") == Logins("home", {"home": HOME})


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "isaax").write_text("a file is in the way")
    with pytest.raises(BadCredentials, match="isaax/credentials"):
        credentials.write(tmp_path / "isaax" / "credentials.toml", BOTH)


def test_no_token_is_in_a_repr() -> None:
    assert "isx_home" not in repr(BOTH)
    assert os.environ.get("ISAAX_TOKEN") is None, "tests are not run with somebody's own token"
