"""What is asked about accounts, their members, and projects in which one is less."""

from datetime import datetime

import msgspec

from hub import Contract, Nothing, Page, Role


class Account(msgspec.Struct, frozen=True):
    """An account, as one who is in it sees it.

    Args:
        number: orders lists; version: makes its ETag.
        role: of whoever asks.
    """

    id: str
    number: int
    name: str
    require_second_factor: bool
    role: Role
    version: int
    created_at: datetime
    updated_at: datetime


class ListAccounts(msgspec.Struct, frozen=True):
    """A page of the accounts that a person is a member of, after `after`."""

    user: str
    limit: int
    after: int = 0


class Accounts(Page[Account], frozen=True):
    """One page of them."""


class GetAccount(msgspec.Struct, frozen=True):
    """One account.

    Args:
        by: the person who asks; "" where a token stands for the account itself.
    """

    account: str
    by: str


class FoundAccount(msgspec.Struct, frozen=True):
    """Make an account, whose owner is the person who asks."""

    by: str
    name: str


class ChangeAccount(msgspec.Struct, frozen=True):
    """Change an account's name, and what it asks of its members.

    Args:
        require_second_factor: None: as it is.
        versions: when given, those that the caller has seen.
    """

    account: str
    by: str
    name: str
    require_second_factor: bool | None = None
    versions: tuple[str, ...] | None = None


class Member(msgspec.Struct, frozen=True):
    """A person in an account."""

    user: str
    number: int
    name: str
    email: str
    role: Role
    version: int
    joined_at: datetime


class OneMember(msgspec.Struct, frozen=True):
    """One member of an account."""

    account: str
    user: str


class ListMembers(msgspec.Struct, frozen=True):
    """A page of an account's members after `after`."""

    account: str
    limit: int
    after: int = 0


class Members(Page[Member], frozen=True):
    """One page of them."""


class ChangeMember(msgspec.Struct, frozen=True):
    """Give a member another role; see `GetAccount` for `by`."""

    account: str
    by: str
    user: str
    role: Role
    versions: tuple[str, ...] | None = None


class RemoveMember(msgspec.Struct, frozen=True):
    """Take a member out of an account; oneself, to leave it."""

    account: str
    by: str
    user: str
    versions: tuple[str, ...] | None = None


class ProjectMember(msgspec.Struct, frozen=True):
    """A member of an account, seen from one of its projects.

    Args:
        account_role: of the member in the account.
        narrowed: the narrower role that was set for this project; None: none was.
        member_version: of the member's role in the account.
    """

    user: str
    number: int
    name: str
    email: str
    account_role: Role
    narrowed: Role | None
    member_version: int


class ListProjectMembers(msgspec.Struct, frozen=True):
    """A page of an account's members after `after`, seen from a project."""

    account: str
    project: str
    limit: int
    after: int = 0


class ProjectMembers(Page[ProjectMember], frozen=True):
    """One page of them."""


class OneProjectMember(msgspec.Struct, frozen=True):
    """One member, seen from a project."""

    account: str
    project: str
    user: str


class Narrow(msgspec.Struct, frozen=True):
    """Make a member's role a narrower one in a project; see `GetAccount` for `by`."""

    account: str
    by: str
    project: str
    user: str
    role: Role
    versions: tuple[str, ...] | None = None


class Widen(msgspec.Struct, frozen=True):
    """Let a member be in a project what they are in the account."""

    account: str
    by: str
    project: str
    user: str
    versions: tuple[str, ...] | None = None


LIST = Contract("accounts.list", ListAccounts, Accounts)
GET = Contract("accounts.get", GetAccount, Account)
FOUND = Contract("accounts.found", FoundAccount, Account)
CHANGE = Contract("accounts.change", ChangeAccount, Account)
LIST_MEMBERS = Contract("accounts.members.list", ListMembers, Members)
GET_MEMBER = Contract("accounts.members.get", OneMember, Member)
CHANGE_MEMBER = Contract("accounts.members.change", ChangeMember, Member)
REMOVE_MEMBER = Contract("accounts.members.remove", RemoveMember, Nothing)
LIST_PROJECT_MEMBERS = Contract("accounts.narrowed.list", ListProjectMembers, ProjectMembers)
GET_PROJECT_MEMBER = Contract("accounts.narrowed.get", OneProjectMember, ProjectMember)
NARROW = Contract("accounts.narrowed.put", Narrow, ProjectMember)
WIDEN = Contract("accounts.narrowed.delete", Widen, Nothing)
