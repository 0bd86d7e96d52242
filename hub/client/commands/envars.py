"""`isaax envars …`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.client.commands import completing, output, values
from hub.client.commands.connection import Session, opened
from hub.client.commands.options import AsJson, HubName, ProjectName

if TYPE_CHECKING:
    from hub.client.answers import Answer
    from hub.client.structs import (
        DeviceEnvarsView,
        DeviceEnvarView,
        EnvarStatusView,
        EnvarsView,
        EnvarView,
    )

app = typer.Typer(
    no_args_is_help=True, help="Variables: what apps, and agents, find in their environment."
)

GroupName = Annotated[
    str | None, typer.Option("--group", "-g", help="Those of a group.", show_default=False)
]
DeviceName = Annotated[
    str | None,
    typer.Option(
        "--device", "-d", help="Those of a device, by label or id.", show_default=False,
        autocompletion=completing.devices,
    ),
]  # fmt: skip

COLUMNS: "output.Columns[tuple[str, EnvarView | DeviceEnvarView]]" = {
    "name": lambda row: row[0],
    "value": lambda row: "(secret)" if row[1].secret else row[1].value,
    "restart": lambda row: row[1].restart,
}
LEVELS: "output.Columns[tuple[str, EnvarView | DeviceEnvarView]]" = {
    "set for": lambda row: getattr(row[1], "level", None)
}
STATUSES: "output.Columns[EnvarStatusView]" = {
    "id": lambda one: one.device,
    "label": lambda one: one.label,
    "group": lambda one: one.group,
    "is": lambda one: "online" if one.online else "offline",
    "version": lambda one: one.version,
    "has": lambda one: one.applied,
    "error": lambda one: one.error or None,
}


@app.command("list")
def list_envars(
    group: GroupName = None,
    device: DeviceName = None,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """List a project's variables, a group's, or all that a device gets, with where each is set."""
    with opened(hub) as session:
        if device is not None:
            of_device = session.hub.get_device_envars(session.device(device, project))
            _show(of_device, as_json=as_json)
            return
        within = session.project(project)
        _show(
            session.hub.get_group_envars(within, group)
            if group
            else session.hub.get_project_envars(within),
            as_json=as_json,
        )


@app.command("set")
def put(
    assigned: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=VALUE",
            help="NAME=@FILE is what is in a file, @- standard input; NAME alone is asked for.",
        ),
    ],
    secret: Annotated[bool, typer.Option("--secret", help="It is never shown again.")] = False,
    restart: Annotated[
        bool | None,
        typer.Option(
            "--restart/--no-restart", help="Apps start anew when it changes.", show_default=False
        ),
    ] = None,
    group: GroupName = None,
    device: DeviceName = None,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Set variables of a project, of a group, or of one device; the others stay."""
    flags: dict[str, Any] = {"secret": True} if secret else {}
    if restart is not None:
        flags["restart"] = restart
    wanted = {name: {"value": value, **flags} for name, value in _assignments(assigned)}
    with opened(hub) as session:
        changed = _patched(session, {"variables": wanted}, group, device, project)
        _show(changed, as_json=as_json)


@app.command()
def unset(
    names: Annotated[list[str], typer.Argument(help="Of variables.", metavar="NAME")],
    group: GroupName = None,
    device: DeviceName = None,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Drop variables of a project, of a group, or of one device: what is farther counts again."""
    with opened(hub) as session:
        for name in names:
            _drop(session, name, group, device, project)
        output.note(f"{', '.join(map(output.clean, names))}: dropped.")


@app.command()
def status(
    pending: Annotated[
        bool | None,
        typer.Option(
            "--pending/--done", help="Only who has not, or has, the newest.", show_default=False
        ),
    ] = None,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Show which devices have taken up the newest variables."""
    with opened(hub) as session:
        found = session.hub.list_envar_statuses(
            session.project(project), limit=200, pending=pending
        )
        output.show_list(found, STATUSES, as_json=as_json, empty="None.")


def _assignments(assigned: list[str]) -> Iterator[tuple[str, str]]:
    for text in assigned:
        name, equals, value = text.partition("=")
        if not name:
            raise typer.BadParameter(f"{text!r} is not of the form NAME=VALUE")
        instead = f"give {name}=@FILE, or {name}=@- for standard input"
        yield name, values.given(value, name) if equals else values.asked(name, instead, name)


def _patched(
    session: Session,
    changes: dict[str, Any],
    group: str | None,
    device: str | None,
    project: str | None,
) -> "Answer[EnvarsView] | Answer[DeviceEnvarsView]":
    if device is not None:
        return session.hub.patch_device_envars(session.device(device, project), changes)
    within = session.project(project)
    if group:
        return session.hub.patch_group_envars(within, group, changes)
    return session.hub.patch_project_envars(within, changes)


def _drop(
    session: Session, name: str, group: str | None, device: str | None, project: str | None
) -> None:
    if device is not None:
        session.hub.delete_device_envar(session.device(device, project), name)
    elif group:
        session.hub.delete_group_envar(session.project(project), group, name)
    else:
        session.hub.delete_project_envar(session.project(project), name)


def _show(found: "Answer[EnvarsView] | Answer[DeviceEnvarsView]", *, as_json: bool) -> None:
    if as_json:
        output.write_json(found.body)
        return
    rows: list[tuple[str, EnvarView | DeviceEnvarView]] = [*found.value.variables.items()]
    if not rows:
        output.note("None.")
        return
    of_device = hasattr(rows[0][1], "level")
    output.show_table(rows, {**COLUMNS, **LEVELS} if of_device else COLUMNS)
