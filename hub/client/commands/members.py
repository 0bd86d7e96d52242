"""`isaax members …`: who is in an account, as what, and as what in a project."""

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from hub.client.commands import completing, output
from hub.client.commands.connection import Session, keep, logins, opened, within
from hub.client.commands.naming import Known, find
from hub.client.commands.options import (
    AccountName,
    AsJson,
    HubName,
    OneMember,
    ProjectName,
    Role,
    Yes,
)

if TYPE_CHECKING:
    from hub.client.structs import MemberView, ProjectMemberView

app = typer.Typer(
    no_args_is_help=True, help="Members of your account: what they are, there and in a project."
)

FIELDS: "output.Columns[MemberView]" = {
    "id": lambda one: one.user,
    "email": lambda one: one.email,
    "name": lambda one: one.name,
    "role": lambda one: one.role,
    "since": lambda one: one.joined_at,
}
IN_PROJECT: "output.Columns[ProjectMemberView]" = {
    "id": lambda one: one.user,
    "email": lambda one: one.email,
    "name": lambda one: one.name,
    "role here": lambda one: one.role,
    "in the account": lambda one: one.account_role,
    "narrowed": lambda one: one.narrowed,
}
OneRole = Annotated[Role, typer.Argument(help="That they are to have (docs/permissions.md).")]


@app.command("list")
def list_members(
    project: Annotated[
        str | None,
        typer.Option(
            "--project",
            "-p",
            help="Name or id of a project: what they are there.",
            show_default=False,
            autocompletion=completing.projects,
        ),
    ] = None,
    account: AccountName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """List the members of an account."""
    with within(hub, account) as (session, meant):
        if project:
            seen = session.hub.list_project_members(session.project(project), limit=200)
            output.show_list(seen, IN_PROJECT, as_json=as_json, empty="None.")
        else:
            listed = session.hub.list_members(meant, limit=200)
            output.show_list(listed, FIELDS, as_json=as_json, empty="None.")


@app.command()
def show(
    member: OneMember, account: AccountName = None, hub: HubName = None, as_json: AsJson = False
) -> None:
    """Show a member."""
    with within(hub, account) as (session, meant):
        found = session.hub.get_member(meant, session.member(member, meant))
        output.show_one(found, FIELDS, as_json=as_json)


@app.command()
def role(
    member: OneMember,
    role: OneRole,
    account: AccountName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Give a member another role; it counts at once."""
    with within(hub, account) as (session, meant):
        user = session.member(member, meant)
        output.show_one(session.hub.patch_member(meant, user, {"role": role}), FIELDS,
                        as_json=as_json)  # fmt: skip


@app.command()
def narrow(
    member: OneMember,
    role: OneRole,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Make a member less in one project; as `billing` they do not see it."""
    with opened(hub) as session:
        within_project, user = _meant(session, member, project)
        changed = session.hub.put_project_member(within_project, user, {"role": role})
        output.show_one(changed, IN_PROJECT, as_json=as_json)


@app.command()
def widen(
    member: OneMember,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,  # an answer without a body; it is taken everywhere
) -> None:
    """Let a member be in a project again what they are in the account."""
    with opened(hub) as session:
        session.hub.delete_project_member(*_meant(session, member, project))
        output.note(f"{output.clean(member)} is there what they are in the account.")


@app.command()
def remove(
    member: OneMember,
    yes: Yes = False,
    account: AccountName = None,
    hub: HubName = None,
    as_json: AsJson = False,  # an answer without a body; it is taken everywhere
) -> None:
    """Take a member out; at once their tokens are revoked, and their sessions do not get here."""
    with within(hub, account) as (session, meant):
        found = session.hub.get_member(meant, session.member(member, meant))
        name = output.clean(found.value.email)
        output.confirmed(f"Take {name} out of the account?", yes=yes)
        session.hub.delete_member(meant, found.value.user, if_match=found.etag)
        output.note(f"{name} is out.")


@app.command()
def leave(
    yes: Yes = False,
    account: AccountName = None,
    hub: HubName = None,
    as_json: AsJson = False,  # an answer without a body; it is taken everywhere
) -> None:
    """Leave an account."""
    with within(hub, account) as (session, meant):
        name = output.clean(session.hub.get_account(meant).value.name)
        output.confirmed(f"Leave {name}?", yes=yes)
        session.hub.leave_account(meant)
        _forget(session, meant)
        output.note(f"You are in {name} no more.")


def _meant(session: Session, member: str, project: str | None) -> tuple[str, str]:
    """Give the ids of a project, and of a member as they are called there."""
    meant = session.project(project)
    listed = session.hub.list_project_members(meant, limit=200)
    known = (Known(one.user, one.email) for one in listed)
    return meant, find("member", member.lower(), known, lambda one: one.name)


def _forget(session: Session, account: str) -> None:
    """Mean an account no more that one is not in."""
    known = logins()
    kept = known.hubs.get(session.name)
    if kept is not None and kept.account == account:
        left = msgspec.structs.replace(kept, account="", project="")
        keep(msgspec.structs.replace(known, hubs={**known.hubs, session.name: left}))
