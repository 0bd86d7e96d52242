"""The hub that a command uses, and the things that it names there."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hub import ids
from hub.client import credentials
from hub.client.commands.naming import Known, NoAccount, NoProject, NoSuchName, find
from hub.client.credentials import Login, Logins, checked
from hub.client.errors import NotThere
from hub.client.urls import base_url
from hub.secret import Secret

if TYPE_CHECKING:
    from hub.client.answers import Answer
    from hub.client.api import Api
    from hub.client.structs import IntegrationType


def logins() -> Logins:
    """Give the hubs that were logged in to."""
    return credentials.read(credentials.default_file(os.environ))


def keep(changed: Logins) -> None:
    """Write them down."""
    credentials.write(credentials.default_file(os.environ), changed)


@dataclass(frozen=True, slots=True)
class Session:
    """A hub that is being used.

    Args:
        name: of the login; "" when it comes from the environment.
    """

    hub: "Api"
    name: str
    login: Login

    def account(self, given: str | None) -> str:
        """Give the id of the account that is meant.

        Args:
            given: its name or id; None for the one of `isaax account use`, or else the one that
                the hub takes, which was joined first.

        Raises:
            NoAccount: there is none.
        """
        if given:
            return find("account", given, self.hub.list_accounts(limit=200), lambda one: one.name)
        if self.login.account:
            return self.login.account
        joined = self.hub.list_accounts(limit=1).first().value
        if not joined:
            raise NoAccount("make one: isaax account create NAME")
        return joined[0].id

    def member(self, given: str, account: str) -> str:
        """Give the id of a member of an account, by their address or id."""
        listed = self.hub.list_members(account, limit=200)
        known = (Known(one.user, one.email) for one in listed)
        return find("member", given.lower(), known, lambda one: one.name)

    def project(self, given: str | None) -> str:
        """Give the id of the project that is meant.

        Args:
            given: its name or id; None for the one of `isaax projects use`.
        """
        if given:
            return find("project", given, self.hub.list_projects(limit=200), lambda one: one.name)
        if not self.login.project:
            raise NoProject([one.name for one in self.hub.list_projects(limit=200)])
        return self.login.project

    def device(self, given: str, project: str | None) -> str:
        """Give the id of a device, by its label or id."""
        if ids.PATTERN.fullmatch(given):  # the project need not be known
            return given
        within = self.project(project)
        found = self.hub.list_devices(within, label=given).first().value
        others = found or self.hub.list_devices(within, limit=200).first().value
        return find("device", given, others, lambda one: one.label)

    def integration(self, given: str, project: str | None) -> str:
        """Give the id of an integration, by its name or id."""
        if ids.PATTERN.fullmatch(given):
            return given
        listed = self.hub.list_integrations(self.project(project), limit=200)
        return find("integration", given, listed, lambda one: one.name)

    def kind(self, given: str) -> "Answer[IntegrationType]":
        """Give a type of integrations.

        Raises:
            NoSuchName: there is none of this name.
        """
        try:
            return self.hub.get_integration_type(given)
        except NotThere:
            known = [one.name for one in self.hub.list_integration_types()]
            raise NoSuchName.near("type", given, known) from None


@contextmanager
def opened(
    name: str | None, *, account: str | None = None, timeout: float | None = None
) -> Iterator[Session]:
    """Use the hub of a name, or the one that is meant when none is given.

    Args:
        account: id of the one that is meant; "" for whichever the hub takes, None for that of the
            login.
        timeout: seconds that each step may take, without a second attempt.
    """
    from hub.client.opening import USUAL, connect
    from hub.client.patience import Patience

    known, login = credentials.choose(logins(), os.environ, name)
    patience = USUAL if timeout is None else Patience(seconds=0)
    with connect(
        login.url,
        login.token,
        ca_file=login.ca,
        account=login.account if account is None else account,
        patience=patience,
        timeout=timeout,
    ) as hub:
        yield Session(hub, known, login)


@contextmanager
def within(name: str | None, account: str | None) -> Iterator[tuple[Session, str]]:
    """Use a hub in one account, whose id is given as well.

    Args:
        account: its name or id; None for the one that is meant when none is given.
    """
    with opened(name, account="" if account else None) as session:
        meant = session.account(account)
        if not account:
            yield session, meant
            return
    with opened(name, account=meant) as session:
        yield session, meant


def stranger(url: str, ca_file: Path | None, *, plain_http: bool) -> "AbstractContextManager[Api]":
    """Use a hub without being anybody there yet; what is secret does not travel in clear."""
    from hub.client.opening import connect
    from hub.client.patience import Patience

    allowed = plain_http or bool(os.environ.get(credentials.PLAIN_HTTP))
    where = checked(Login(base_url(url), Secret(""), plain_http=allowed))
    return connect(where.url, ca_file=ca_file, patience=Patience(seconds=0))


def url_in_use() -> str:
    """Give the URL of the hub that is meant when none is named."""
    _, login = credentials.choose(logins(), os.environ)
    return login.url
