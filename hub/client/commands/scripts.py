"""`isaax scripts …`."""

from typing import Annotated

import typer

from hub.client.commands import project_scripts, sending, values
from hub.client.commands.options import AsJson, HubName, ProjectName

app = typer.Typer(
    no_args_is_help=True, help="Scripts: of a project's moments, and run once on devices."
)
project_scripts.add_to(app)


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
