"""What commands and scripts share: where they are done, and what became of them."""

import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hub.client.commands import completing, output
from hub.client.commands.connection import Session, opened

if TYPE_CHECKING:
    from hub.client.structs import CommandAction, CommandResultView, CommandView

PAUSE: Final = 0.5
OPEN: Final = frozenset({"waiting", "running"})

Group = Annotated[
    str | None, typer.Option("--group", "-g", help="On devices of a group.", show_default=False)
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        "-d",
        help="On one device, by label or id.",
        show_default=False,
        autocompletion=completing.devices,
    ),
]
Everywhere = Annotated[bool, typer.Option("--all", help="On all of the project.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        help="Seconds that it may take on each; by default 60, and 600 of a reboot.",
        show_default=False,
    ),
]
Within = Annotated[float, typer.Option(help="Seconds in which it has to begin there.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for all results.")]

COMMANDS: "output.Columns[CommandView]" = {
    "id": lambda one: one.id,
    "what": lambda one: described(one.action),
    "on": lambda one: one.device or one.group or "all",
    "sent": lambda one: one.created_at,
    "devices": lambda one: ", ".join(f"{n} {state}" for state, n in sorted(one.counts.items())),
}
RESULTS: "output.Columns[CommandResultView]" = {
    "device": lambda one: one.device,
    "status": lambda one: one.status,
    "code": lambda one: one.code,
    "seconds": lambda one: one.seconds,
    "output": lambda one: (one.output or one.error).rstrip("\n") or None,
}


def described(action: "CommandAction") -> str:
    """Say in a few words what is done: `restart pump`, `script uname -a; …`."""
    first = (action.program or action.name or action.body).partition("\n")[0]
    return f"{action.type} {first if len(first) <= 40 else first[:39] + '…'}".rstrip()


def send(
    action: dict[str, Any],
    *,
    group: str | None,
    device: str | None,
    everywhere: bool,
    timeout: float | None,
    within: float,
    wait: bool,
    project: str | None,
    hub: str | None,
    as_json: bool,
) -> None:
    """Send a command, and show it; or wait for its results, and exit with 1 if not all went well.

    Raises:
        typer.BadParameter: it is not said where.
        typer.Exit: always, after waiting.
    """
    if sum((group is not None, device is not None, everywhere)) != 1:
        raise typer.BadParameter("say where: --device, --group or --all")
    body: dict[str, Any] = {"action": action, "wait": within, "all": everywhere}
    if timeout is not None:
        body["timeout"] = timeout
    with opened(hub) as session:
        of_project = session.project(project)
        if device is not None:
            body["device"] = session.device(device, project)
        if group is not None:
            body["group"] = group
        made = session.hub.send_command(of_project, body)
        if not wait:
            output.show_one(made, COMMANDS, as_json=as_json)
            return
        counts = _wait(session, of_project, made.value.id)
        show_results(session, of_project, made.value.id, as_json=as_json)
    raise typer.Exit(0 if counts.keys() <= {"done"} else 1)


def show_results(session: Session, project: str, command: str, *, as_json: bool) -> None:
    """Show what became of a command on each device."""
    found = session.hub.list_command_results(project, command, limit=200)
    output.show_list(found, RESULTS, as_json=as_json, empty="None.")


def _wait(session: Session, project: str, command: str) -> dict[str, int]:
    while True:
        counts = session.hub.get_command(project, command).value.counts
        if not OPEN & counts.keys():
            return counts
        time.sleep(PAUSE)
