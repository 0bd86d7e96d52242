"""What the service `audit` needs of others: only the fields that it reads."""

import msgspec

from hub import Contract, Topic


class GetProject(msgspec.Struct, frozen=True):
    """Ask for a project of the account."""

    account: str
    project: str


class Project(msgspec.Struct, frozen=True):
    """A project."""

    id: str


class ProjectChanged(msgspec.Struct, frozen=True):
    """A project was made or deleted."""

    account: str
    project: str


GET_PROJECT = Contract("projects.get", GetProject, Project)
PROJECT_DELETED = Topic("projects.deleted", ProjectChanged)
