"""`isaax commands …`."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hub.client.commands import output, sending
from hub.client.commands.connection import opened
from hub.client.commands.options import AsJson, HubName, ProjectName

if TYPE_CHECKING:
    from hub.client.structs import DeviceCommandView

app = typer.Typer(
    no_args_is_help=True,
    help="Commands: start, stop, restart, reload, reboot and custom ones, with a result of each.",
)

What = Literal["start", "stop", "restart", "reload", "reboot", "custom"]
OneCommand = Annotated[str, typer.Argument(help="Id of the command, cmd_…")]

HISTORY: "output.Columns[DeviceCommandView]" = {
    "id": lambda one: one.command,
    "what": lambda one: sending.described(one.action),
    "sent": lambda one: one.created_at,
    "status": lambda one: one.status,
    "code": lambda one: one.code,
    "output": lambda one: (one.output or one.error).rstrip("\n") or None,
}


@app.command()
def send(
    what: Annotated[What, typer.Argument(help="What is to be done.", show_default=False)],
    name: Annotated[
        str, typer.Argument(help="Of the program (left out: all), or of the custom command.")
    ] = "",
    arg: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE for a custom command; once more for another."),
    ] = None,
    group: sending.Group = None,
    device: sending.Device = None,
    everywhere: sending.Everywhere = False,
    timeout: sending.Timeout = None,
    within: sending.Within = 3600.0,
    wait: sending.Wait = False,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Have something done once; with --wait, exit code 1 says that it did not go well."""
    sending.send(
        _action(what, name, arg or []),
        group=group, device=device, everywhere=everywhere, timeout=timeout, within=within,
        wait=wait, project=project, hub=hub, as_json=as_json,
    )  # fmt: skip


@app.command("list")
def list_commands(
    device: sending.Device = None,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """List commands and scripts that were sent, the newest first; or what one device did."""
    with opened(hub) as session:
        if device is None:
            found = session.hub.list_commands(session.project(project), limit=200)
            output.show_list(found, sending.COMMANDS, as_json=as_json, empty="None.")
            return
        done = session.hub.list_device_commands(session.device(device, project), limit=200)
        output.show_list(done, HISTORY, as_json=as_json, empty="None.")


@app.command()
def show(
    command: OneCommand, project: ProjectName = None, hub: HubName = None, as_json: AsJson = False
) -> None:
    """Show what became of a command, or a script, on each device."""
    with opened(hub) as session:
        sending.show_results(session, session.project(project), command, as_json=as_json)


@app.command()
def cancel(
    command: OneCommand, project: ProjectName = None, hub: HubName = None, as_json: AsJson = False
) -> None:
    """Cancel a command, or a script, where it has not begun."""
    with opened(hub) as session:
        left = session.hub.cancel_command(session.project(project), command)
        output.show_one(left, sending.COMMANDS, as_json=as_json)


def _action(what: What, name: str, arguments: list[str]) -> dict[str, Any]:
    if arguments and what != "custom":
        raise typer.BadParameter("only a custom command takes arguments", param_hint="--arg")
    match what:
        case "custom":
            return {"type": what, "name": name, "arguments": dict(map(_argument, arguments))}
        case "reboot":
            if name:
                raise typer.BadParameter("a reboot takes no name", param_hint="NAME")
            return {"type": what}
        case _:
            return {"type": what, "program": name}


def _argument(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"{text!r} is not of the form NAME=VALUE", param_hint="--arg")
    return name, value
