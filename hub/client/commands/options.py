"""Options and arguments that commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from hub.client.commands import completing

HubName = Annotated[
    str | None,
    typer.Option(
        "--hub",
        help="Name of a hub that was logged in to; by default the one in use.",
        show_default=False,
        autocompletion=completing.hubs,
    ),
]
ProjectName = Annotated[
    str | None,
    typer.Option(
        "--project",
        "-p",
        envvar="ISAAX_PROJECT",
        help="Name or id of the project; by default the one of `isaax projects use`.",
        show_default=False,
        autocompletion=completing.projects,
    ),
]
AccountName = Annotated[
    str | None,
    typer.Option(
        "--account",
        help="Name or id of the account; by default the one of `isaax account use`, or that you"
        " joined first.",
        show_default=False,
        autocompletion=completing.accounts,
    ),
]
OneAccount = Annotated[
    str, typer.Argument(help="Name or id of the account.", autocompletion=completing.accounts)
]
OneMember = Annotated[
    str, typer.Argument(help="Address or id of the member.", autocompletion=completing.members)
]
Role = Literal["owner", "admin", "developer", "viewer", "billing"]
"""What a member may be: docs/permissions.md."""
OneProject = Annotated[
    str, typer.Argument(help="Name or id of the project.", autocompletion=completing.projects)
]
MaybeProject = Annotated[
    str | None,
    typer.Argument(
        help="Name or id of the project; by default the one of `isaax projects use`.",
        envvar="ISAAX_PROJECT",
        show_default=False,
        autocompletion=completing.projects,
    ),
]
OneDevice = Annotated[
    str, typer.Argument(help="Label or id of the device.", autocompletion=completing.devices)
]
OneIntegration = Annotated[
    str,
    typer.Argument(help="Name or id of the integration.", autocompletion=completing.integrations),
]
CaFile = Annotated[
    Path | None, typer.Option(help="PEM file of its certificate's authority.", show_default=False)
]
PlainHttp = Annotated[bool, typer.Option("--plain-http", help="Let secrets travel in clear.")]
Locale = Annotated[
    Literal["en", "ja"] | None, typer.Option(help="Language of mails.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Give the API's own JSON.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
