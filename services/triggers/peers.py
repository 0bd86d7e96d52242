"""What the service `triggers` needs of others: only the fields that it reads."""

import msgspec

from hub import Contract, Topic


class GetProject(msgspec.Struct, frozen=True):
    """One project of an account."""

    account: str
    project: str


class Project(msgspec.Struct, frozen=True):
    """A project: that it is there is enough."""

    id: str


class ProjectChanged(msgspec.Struct, frozen=True):
    """A project was made or deleted."""

    account: str
    project: str


GET_PROJECT = Contract("projects.get", GetProject, Project)
CREATED = Topic("projects.created", ProjectChanged)
DELETED = Topic("projects.deleted", ProjectChanged)
