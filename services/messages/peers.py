"""What the service `messages` needs of others: only the fields that it reads."""

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
    after: int = 0


class NumberedProject(msgspec.Struct, frozen=True):
    """A project in a list; the next page comes after its number."""

    id: str
    number: int


class Projects(Page[NumberedProject], frozen=True):
    """One page of them."""


class ProjectChanged(msgspec.Struct, frozen=True):
    """A project was made or deleted."""

    account: str
    project: str


GET_PROJECT = Contract("projects.get", GetProject, Project)
LIST_PROJECTS = Contract("projects.list", ListProjects, Projects)
PROJECT_DELETED = Topic("projects.deleted", ProjectChanged)
