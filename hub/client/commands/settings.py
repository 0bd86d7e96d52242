"""Options by which the config and the shape of an integration are given."""

from typing import Annotated

import typer

Assigned = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A setting of its config, once for each: port=514, token=@FILE, headers.X-Team=ops.",
        show_default=False,
    ),
]
Secrets = Annotated[
    list[str] | None,
    typer.Option(
        "--secret", metavar="NAME", help="A setting to be asked for, unseen.", show_default=False
    ),
]
ConfigFile = Annotated[
    str | None,
    typer.Option(
        "--config", metavar="FILE", help="JSON of its config; - is standard input.",
        show_default=False,
    ),
]  # fmt: skip
ShapeFile = Annotated[
    str | None,
    typer.Option(
        "--shape", metavar="FILE", help="JSON of its shape; - is standard input.",
        show_default=False,
    ),
]  # fmt: skip
