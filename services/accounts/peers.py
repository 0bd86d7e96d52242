"""What the service `accounts` needs of others: only the fields that it reads."""

import msgspec

from hub import Contract, Page, Topic


class GetProject(msgspec.Struct, frozen=True):
    """One project of an account."""

    account: str
    project: str


class Project(msgspec.Struct, frozen=True):
    """A project: that it is there is enough."""

    id: str


class ListProjects(msgspec.Struct, frozen=True):
    """A page of an account's projects after `after`."""

    account: str
    limit: int
    after: int


class NumberedProject(msgspec.Struct, frozen=True):
    """A project in a list; `number` orders it."""

    id: str
    number: int


class Projects(Page[NumberedProject], frozen=True):
    """One page of them."""


class OwnIntegrations(msgspec.Struct, frozen=True):
    """Ask for all integrations of an account."""

    account: str


class IntegrationIds(msgspec.Struct, frozen=True):
    """Their ids."""

    ids: list[str]


class ProjectChanged(msgspec.Struct, frozen=True):
    """A project was made or deleted."""

    account: str
    project: str


GET_PROJECT = Contract("projects.get", GetProject, Project)
LIST_PROJECTS = Contract("projects.account.list", ListProjects, Projects)
LIST_INTEGRATIONS = Contract("messages.integrations.ids", OwnIntegrations, IntegrationIds)
PROJECT_DELETED = Topic("projects.deleted", ProjectChanged)
