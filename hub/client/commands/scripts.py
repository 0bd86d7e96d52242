"""`isaax scripts …`."""

import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hub.client.commands import completing, output, values
from hub.client.commands.connection import Session, opened
from hub.client.commands.options import AsJson, HubName, ProjectName

if TYPE_CHECKING:
    from hub.client.structs import ScriptResultView, ScriptRunView

app = typer.Typer(no_args_is_help=True, help="Scripts: run once on devices, with a result of each.")

PAUSE: Final = 0.5
OPEN: Final = frozenset({"waiting", "running"})

RUNS: "output.Columns[ScriptRunView]" = {
    "id": lambda one: one.id,
    "on": lambda one: one.device or one.group or "all",
    "started": lambda one: one.created_at,
    "devices": lambda one: ", ".join(f"{n} {state}" for state, n in sorted(one.counts.items())),
}
RESULTS: "output.Columns[ScriptResultView]" = {
    "device": lambda one: one.device,
    "status": lambda one: one.status,
    "code": lambda one: one.code,
    "seconds": lambda one: one.seconds,
    "output": lambda one: (one.output or one.error).rstrip("\n") or None,
}
OneRun = Annotated[str, typer.Argument(help="Id of the run, run_…")]


@app.command()
def run(
    script: Annotated[
        str, typer.Argument(help="The script; @FILE is what is in a file, @- standard input.")
    ],
    group: Annotated[
        str | None, typer.Option("--group", "-g", help="On devices of a group.", show_default=False)
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            "-d",
            help="On one device, by label or id.",
            show_default=False,
            autocompletion=completing.devices,
        ),
    ] = None,
    everywhere: Annotated[bool, typer.Option("--all", help="On all of the project.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds that it may take on each.")] = 60.0,
    within: Annotated[float, typer.Option(help="Seconds in which it has to begin there.")] = 3600.0,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for all results.")] = False,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Run a script once; with --wait, exit code 1 says that it did not go well everywhere."""
    if sum((group is not None, device is not None, everywhere)) != 1:
        raise typer.BadParameter("say where: --device, --group or --all")
    text = values.given(script, "SCRIPT")
    body: dict[str, Any] = {"body": text, "timeout": timeout, "wait": within}
    with opened(hub) as session:
        within_project = session.project(project)
        if device is not None:
            body["device"] = session.device(device, project)
        if group is not None:
            body["group"] = group
        made = session.hub.create_script_run(within_project, body)
        if not wait:
            output.show_one(made, RUNS, as_json=as_json)
            return
        _wait(session, within_project, made.value.id)
        _show_results(session, within_project, made.value.id, as_json=as_json)
        counts = session.hub.get_script_run(within_project, made.value.id).value.counts
    raise typer.Exit(0 if counts.keys() <= {"done"} else 1)


@app.command("list")
def list_runs(project: ProjectName = None, hub: HubName = None, as_json: AsJson = False) -> None:
    """List the scripts that were run, the newest first."""
    with opened(hub) as session:
        found = session.hub.list_script_runs(session.project(project), limit=200)
        output.show_list(found, RUNS, as_json=as_json, empty="None.")


@app.command()
def show(
    run: OneRun, project: ProjectName = None, hub: HubName = None, as_json: AsJson = False
) -> None:
    """Show what became of a script on each device."""
    with opened(hub) as session:
        _show_results(session, session.project(project), run, as_json=as_json)


def _wait(session: Session, project: str, run: str) -> None:
    while OPEN & session.hub.get_script_run(project, run).value.counts.keys():
        time.sleep(PAUSE)


def _show_results(session: Session, project: str, run: str, *, as_json: bool) -> None:
    found = session.hub.list_script_results(project, run, limit=200)
    output.show_list(found, RESULTS, as_json=as_json, empty="None.")
