"""What the plugin needs of services: only the fields that it reads."""

import msgspec

from hub import Contract


class GetProject(msgspec.Struct, frozen=True):
    """One project of an account."""

    account: str
    project: str


class Project(msgspec.Struct, frozen=True):
    """A project: that it is there is enough."""

    id: str


GET_PROJECT = Contract("projects.get", GetProject, Project)
