"""`isaax scripts …`."""

from typing import Annotated

import typer

from hub.client.commands import sending, values
from hub.client.commands.options import AsJson, HubName, ProjectName

app = typer.Typer(no_args_is_help=True, help="Scripts: run once on devices, with a result of each.")


@app.callback()
def scripts() -> None:
    """Keep `run` a command of its own, also while it is the only one."""


@app.command()
def run(
    script: Annotated[
        str, typer.Argument(help="The script; @FILE is what is in a file, @- standard input.")
    ],
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
    """Run a script once; with --wait, exit code 1 says that it did not go well everywhere."""
    sending.send(
        {"type": "script", "body": values.given(script, "SCRIPT")},
        group=group, device=device, everywhere=everywhere, timeout=timeout, within=within,
        wait=wait, project=project, hub=hub, as_json=as_json,
    )  # fmt: skip
