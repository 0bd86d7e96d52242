"""`isaax scripts get|set|restore|versions|status|results`: the scripts of a project's moments."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.client.commands import completing, output, values
from hub.client.commands.connection import opened
from hub.client.commands.options import AsJson, HubName, ProjectName

if TYPE_CHECKING:
    from hub.client.structs import ScriptResultView, ScriptStatusView, ScriptView

MOMENTS = ("pre-install", "pre-update", "post-update")

Moment = Annotated[
    str,
    typer.Argument(
        metavar="MOMENT", help=f"{', '.join(MOMENTS)}.", autocompletion=lambda: [*MOMENTS]
    ),
]
Device = Annotated[
    str,
    typer.Argument(
        metavar="DEVICE", help="The device, by label or id.", autocompletion=completing.devices
    ),
]

SCRIPTS: "output.Columns[ScriptView]" = {
    "moment": lambda one: one.moment,
    "version": lambda one: one.version,
    "seconds": lambda one: one.timeout,
    "changed": lambda one: one.changed_at,
    "by": lambda one: one.changed_by or "the hub",
}
WITH_BODY: "output.Columns[ScriptView]" = {
    **SCRIPTS, "script": lambda one: one.body.rstrip("\n")
}  # fmt: skip
STATUSES: "output.Columns[ScriptStatusView]" = {
    "id": lambda one: one.device,
    "is": lambda one: "online" if one.online else "offline",
    "version": lambda one: one.version,
    "has": lambda one: one.applied,
    "error": lambda one: one.error or None,
}
RESULTS: "output.Columns[ScriptResultView]" = {
    "moment": lambda one: one.moment,
    "version": lambda one: one.version,
    "started": lambda one: one.started_at,
    "status": lambda one: one.status,
    "code": lambda one: one.code,
    "output": lambda one: (one.output or one.error).rstrip("\n") or None,
}


def add_to(app: typer.Typer) -> None:
    """Add these commands to `isaax scripts`."""
    app.command("get")(get)
    app.command("set")(put)
    app.command("restore")(restore)
    app.command("versions")(versions)
    app.command("status")(status)
    app.command("results")(results)


def get(
    moment: Annotated[
        str | None,
        typer.Argument(
            metavar="[MOMENT]", help=f"{', '.join(MOMENTS)}; all of them without.",
            show_default=False, autocompletion=lambda: [*MOMENTS],
        ),
    ] = None,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Show what a project's devices run in their moments."""
    with opened(hub) as session:
        within = session.project(project)
        if moment is not None:
            one = session.hub.get_script(within, moment)
            if as_json:
                output.write_json(one.body)
            else:
                for line in one.value.body.splitlines():
                    typer.echo(output.clean(line, tabs=True))
            return
        found = session.hub.get_scripts(within)
        if as_json:
            output.write_json(found.body)
        else:
            output.show_table([*found.value.scripts.values()], WITH_BODY)


def put(
    moment: Moment,
    script: Annotated[
        str, typer.Argument(help="The script; @FILE is what is in a file, @- standard input.")
    ],
    timeout: Annotated[float, typer.Option(help="Seconds that it may take.")] = 300.0,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Change what a project's devices run in a moment: a new version of it."""
    body: dict[str, Any] = {"body": values.given(script, "SCRIPT"), "timeout": timeout}
    with opened(hub) as session:
        made = session.hub.put_script(session.project(project), moment, body)
        output.show_one(made, SCRIPTS, as_json=as_json)


def restore(
    moment: Moment,
    version: Annotated[
        int | None,
        typer.Option(help="One that it had; without, the first of all.", show_default=False),
    ] = None,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Restore a script of a moment as it was, or as every project begins with it."""
    body: dict[str, Any] = {} if version is None else {"version": version}
    with opened(hub) as session:
        made = session.hub.restore_script(session.project(project), moment, body)
        output.show_one(made, SCRIPTS, as_json=as_json)


def versions(
    moment: Moment, project: ProjectName = None, hub: HubName = None, as_json: AsJson = False
) -> None:
    """List the versions of a script of a moment, the newest first."""
    with opened(hub) as session:
        found = session.hub.list_script_versions(session.project(project), moment, limit=200)
        output.show_list(found, WITH_BODY, as_json=as_json, empty="None.")


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
    """Show which devices have the newest scripts."""
    with opened(hub) as session:
        found = session.hub.list_script_statuses(
            session.project(project), limit=200, pending=pending
        )
        output.show_list(found, STATUSES, as_json=as_json, empty="None.")


def results(
    device: Device, project: ProjectName = None, hub: HubName = None, as_json: AsJson = False
) -> None:
    """Show what became of the scripts that a device ran in their moments."""
    with opened(hub) as session:
        found = session.hub.list_script_results(session.device(device, project), limit=200)
        output.show_list(found, RESULTS, as_json=as_json, empty="None.")
