"""`isaax devices …`."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hub.client.commands import completing, output, usage
from hub.client.commands.connection import opened
from hub.client.commands.options import AsJson, HubName, OneDevice, ProjectName, Yes

if TYPE_CHECKING:
    from hub.client.answers import Answer
    from hub.client.structs import ApprovedDevice, AppView, ChangedDevice, DeviceView

app = typer.Typer(
    no_args_is_help=True, help="Devices: look at them, approve them, name, group and tag them."
)

Status = Literal["waiting", "pending", "active", "revoked", "quarantined"]
AppState = Literal["starting", "running", "stopping", "stopped", "waiting", "ended", "failed"]

COLUMNS: "output.Columns[DeviceView]" = {
    "id": lambda one: one.id,
    "label": lambda one: one.label,
    "group": lambda one: one.group,
    "tags": lambda one: " ".join(one.tags),
    "status": lambda one: one.status,
    "is": lambda one: "online" if one.online else "offline",
    "app": lambda one: one.app.state if one.app else None,
    "revision": lambda one: one.app.revision if one.app else None,
    "last seen": lambda one: one.last_seen_at,
}
FIELDS: "output.Columns[DeviceView]" = {
    **COLUMNS,
    "addresses": lambda one: " ".join(one.addresses),
    "registered": lambda one: one.registered_at,
    "agent": lambda one: one.agent,
    "system": lambda one: one.system,
    "programs": lambda one: _programs(one.app),
    "app told": lambda one: one.app.reported_at if one.app else None,
}


@app.command("list")
def list_devices(
    online: Annotated[
        bool | None,
        typer.Option("--online/--offline", help="Only these.", show_default=False),
    ] = None,
    label: Annotated[str, typer.Option(help="Only of this label.")] = "",
    group: Annotated[str, typer.Option(help="Only of this group.")] = "",
    status: Annotated[Status | None, typer.Option(help="Only those that are so.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="Only with this tag; once more for another.")
    ] = None,
    app: Annotated[AppState | None, typer.Option(help="Only whose app fares so.")] = None,
    revision: Annotated[str, typer.Option(help="Only with this revision of the app.")] = "",
    search: Annotated[str, typer.Option(help="Only with this text anywhere.")] = "",
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """List a project's devices."""
    with opened(hub) as session:
        output.show_list(
            session.hub.list_devices(
                session.project(project), limit=200, online=online,
                label=label or None, group=group or None, status=status,
                tags=",".join(tag or ()) or None, q=search or None,
                app=app, revision=revision or None,
            ),
            COLUMNS, as_json=as_json, empty="None.",
        )  # fmt: skip


@app.command()
def show(
    device: OneDevice, project: ProjectName = None, hub: HubName = None, as_json: AsJson = False
) -> None:
    """Show a device."""
    with opened(hub) as session:
        found = session.hub.get_device(session.device(device, project))
        output.show_one(found, FIELDS, as_json=as_json)


@app.command()
def rename(
    device: OneDevice,
    label: Annotated[str, typer.Argument(help="The new one: a host name.")],
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Label a device: its lines have this as their host name."""
    with opened(hub) as session:
        meant = session.device(device, project)
        output.show_one(session.hub.patch_device(meant, {"label": label}), FIELDS, as_json=as_json)


Devices = Annotated[
    list[str],
    typer.Argument(help="Labels or ids of devices.", autocompletion=completing.devices),
]


@app.command()
def group(
    group: Annotated[str, typer.Argument(help="The new one.")],
    devices: Devices,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Put devices into a group; exit code 1 if that is no for any of them."""
    _change(devices, {"group": group}, project, hub, as_json=as_json)


@app.command()
def tag(
    devices: Devices,
    add: Annotated[list[str] | None, typer.Option(help="A tag to give them.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="A tag to take from them.")] = None,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Give devices tags, or take some from them; exit code 1 if that is no for any of them."""
    change = {"add_tags": add or [], "remove_tags": remove or []}
    _change(devices, change, project, hub, as_json=as_json)


@app.command()
def approve(
    devices: Devices, project: ProjectName = None, hub: HubName = None, as_json: AsJson = False
) -> None:
    """Let devices in that wait for it; exit code 1 if that is no for any of them."""
    with opened(hub) as session:
        within = session.project(project)
        known = {session.device(one, within): one for one in devices}
        done = session.hub.approve_devices(within, {"devices": [*known]})
    _show_outcomes(done, known, as_json=as_json)


def _change(
    devices: list[str],
    change: dict[str, Any],
    project: str | None,
    hub: str | None,
    *,
    as_json: bool,
) -> None:
    with opened(hub) as session:
        within = session.project(project)
        known = {session.device(one, within): one for one in devices}
        changes = [{"device": identifier, **change} for identifier in known]
        done = session.hub.change_devices(within, {"changes": changes})
    _show_outcomes(done, known, as_json=as_json)


def _show_outcomes(
    done: "Answer[list[ApprovedDevice]] | Answer[list[ChangedDevice]]",
    known: dict[str, str],
    *,
    as_json: bool,
) -> None:
    outcomes: list[ApprovedDevice | ChangedDevice] = [*done.value]
    if as_json:
        output.write_json(done.body)
    else:
        output.show_table(outcomes, {
            "id": lambda one: one.device,
            "device": lambda one: known[one.device],
            "done": lambda one: one.problem is None,
            "why not": lambda one: one.problem and (one.problem.detail or one.problem.title),
        })  # fmt: skip
    raise typer.Exit(1 if any(one.problem for one in outcomes) else 0)


@app.command()
def delete(
    device: OneDevice,
    project: ProjectName = None,
    yes: Yes = False,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a device and forget it; it is cut off at once."""
    with opened(hub) as session:
        found = session.hub.get_device(session.device(device, project))
        name = output.clean(found.value.label or found.value.id)
        output.confirmed(f"Revoke {name} and forget it?", yes=yes)
        session.hub.delete_device(found.value.id, if_match=found.etag)
        output.note(f"{name} is revoked.")


def _programs(told: "AppView | None") -> str | None:
    """Show how each program fares, and what was wrong."""
    if told is None:
        return None
    return ", ".join(
        f"{one.name} {one.state}{f' ({one.error})' if one.error else ''}"
        f", restarted {one.restarts} times"
        for one in told.programs
    )


app.command()(usage.usage)
