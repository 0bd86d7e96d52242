"""The hub that a command uses, and the things that it names there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub import ids
from hub.client import credentials
from hub.client.commands.naming import NoProject, NoSuchName, find
from hub.client.credentials import Login, Logins
from hub.client.errors import NotThere

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
def opened(name: str | None, *, timeout: float | None = None) -> Iterator[Session]:
    """Use the hub of a name, or the one that is meant when none is given.

    Args:
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
        account=login.account,
        patience=patience,
        timeout=timeout,
    ) as hub:
        yield Session(hub, known, login)
