# ruff: noqa: N818 - an error reads as the outcome it names: `raise NoLogin(...)`
"""Which hub is meant, and the token for it: a file in the user's home, and the environment."""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from hub.client.errors import BadUrl, ClientError
from hub.client.urls import base_url, in_clear
from hub.errors import Invalid
from hub.files import write_private
from hub.secret import Secret
from hub.structs import decode, reveal

URL: Final = "ISAAX_URL"
TOKEN: Final = "ISAAX_TOKEN"  # noqa: S105 - its name
ACCOUNT: Final = "ISAAX_ACCOUNT"
CA_FILE: Final = "ISAAX_CA_FILE"
PLAIN_HTTP: Final = "ISAAX_PLAIN_HTTP"


class NoLogin(ClientError):
    """You are not logged in."""

    exit_code = 3


class BadCredentials(ClientError):
    """The file of credentials cannot be used."""


class Login(msgspec.Struct, frozen=True, omit_defaults=True):
    """One hub that was logged in to.

    Args:
        project: id of the one that is meant when none is named.
        ca_file: PEM file of the authorities to trust instead of the system's.
        plain_http: the token may travel in clear.
        email: of whom it is a session; "" for an API token.
        account: id of the one that is meant, of somebody who has several.
    """

    url: str
    token: Secret
    project: str = ""
    ca_file: str = ""
    plain_http: bool = False
    email: str = ""
    account: str = ""

    @property
    def ca(self) -> Path | None:
        """The file of authorities."""
        return Path(self.ca_file) if self.ca_file else None


class Logins(msgspec.Struct, frozen=True, omit_defaults=True):
    """All hubs that were logged in to, by the user's own names; `current` is the one in use."""

    current: str = ""
    hubs: dict[str, Login] = {}

    def named(self, name: str) -> Login:
        """Give one by name.

        Raises:
            NoLogin: there is none of this name.
        """
        if name in self.hubs:
            return self.hubs[name]
        near = difflib.get_close_matches(name, self.hubs, 1)
        raise NoLogin(
            f"there is no hub {name}{f'; do you mean {near[0]}?' if near else ''}"
            f" (isaax login URL --name {name})"
        )

    def with_login(self, name: str, login: Login) -> "Logins":
        """Add one, or replace it, and use it from now on."""
        return Logins(name, {**self.hubs, name: login})

    def without(self, name: str) -> "Logins":
        """Forget one; when it was in use, none is."""
        rest = {other: login for other, login in self.hubs.items() if other != name}
        return Logins("" if name == self.current else self.current, rest)


def default_file(environ: Mapping[str, str]) -> Path:
    """Give the file, by the XDG Base Directory Specification 0.8.

    Raises:
        BadCredentials: there is no home folder.
    """
    try:
        folder = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    except RuntimeError:
        raise BadCredentials("there is no home folder: set XDG_CONFIG_HOME") from None
    return folder / "isaax" / "credentials.toml"


def read(path: Path) -> Logins:
    """Read the file; where there is none, nobody is logged in.

    Raises:
        BadCredentials: it is not valid, or others may read it.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise BadCredentials(f"others may read {path}: chmod 600 it, and revoke its tokens")
            return decode(Logins, tomllib.load(file))
    except FileNotFoundError:
        return Logins()
    except OSError as error:
        raise BadCredentials(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, Invalid) as error:
        why = error.detail if isinstance(error, Invalid) else "it is not TOML"
        raise BadCredentials(f"{path}: {why}; remove it, and log in again") from None


def write(path: Path, logins: Logins) -> None:
    """Replace the file, whole or not at all; nobody else may read it.

    Raises:
        BadCredentials: it cannot be written.
    """
    import tomlkit  # noqa: PLC0415 - it takes as long as all else, and is needed seldom

    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, tomlkit.dumps(reveal(logins)))
    except OSError as error:
        raise BadCredentials(f"{path}: {error.strerror}") from None


def choose(
    logins: Logins, environ: Mapping[str, str], name: str | None = None
) -> tuple[str, Login]:
    """Give the login that is meant, and its name ("" when it comes from the environment).

    A hub that is named comes first, then what the environment says, then the one in use. A token
    of the file goes to no other address than that it is for.

    Args:
        name: as the user named it.

    Raises:
        NoLogin: there is none.
        BadUrl: the token would travel in clear.
    """
    if name is not None:
        return name, checked(logins.named(name))
    url, token = environ.get(URL), environ.get(TOKEN)
    if url:
        return "", checked(_of_environment(logins, environ, url, token))
    if not logins.current:
        raise NoLogin(
            f"{TOKEN} needs {URL} beside it" if token else "log in to a hub first: isaax login URL"
        )
    login = logins.named(logins.current)
    if token:
        return "", checked(msgspec.structs.replace(login, token=Secret(token)))
    return logins.current, checked(login)


def checked(login: Login) -> Login:
    """Make sure that no token travels in clear.

    Raises:
        BadUrl: it would.
    """
    if in_clear(login.url) and not login.plain_http:
        raise BadUrl(
            f"the token would travel in clear to {login.url}: give the hub a certificate and use "
            f"https://, or allow it (--plain-http of `isaax login`, {PLAIN_HTTP}=1)"
        )
    return login


def _of_environment(
    logins: Logins, environ: Mapping[str, str], url: str, token: str | None
) -> Login:
    url = base_url(url)
    known = next((one for one in logins.hubs.values() if one.url == url), None)
    if not token and known is None:
        raise NoLogin(f"{URL} needs {TOKEN} beside it, or: isaax login {url}")
    login = known or Login(url, Secret(""))
    return Login(
        url,
        Secret(token) if token else login.token,
        login.project,
        environ.get(CA_FILE) or login.ca_file,
        login.plain_http or bool(environ.get(PLAIN_HTTP)),
        account=environ.get(ACCOUNT) or login.account,
    )
