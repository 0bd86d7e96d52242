"""`isaax plugins …`: list, new, check, install, uninstall."""

import os
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from hub.authoring import checking, installing, scaffold
from hub.control import Ask, PluginState, Told, ask
from hub.errors import Unavailable
from hub.process import default_data, prepare

FAILED: Final = 1
_CONFIG: Final = "hub.toml"

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="ISAAX_CONFIG",
        help="The hub's config file; ./hub.toml when it is there and nothing else is said.",
        show_default=False,
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the data of `isaax up`, when that is the hub that is meant; by default"
        " the one that `isaax up` uses by default.",
        show_default=False,
    ),
]

app = typer.Typer(help="List, write, try, install and remove plugins.")


@app.callback(invoke_without_command=True)
def plugins(context: typer.Context, config: ConfigOption = None, data: DataOption = None) -> None:
    """List the plugins, when nothing else is asked for."""
    if context.invoked_subcommand is None:
        list_plugins(config, data)
    else:  # what stands before a command is meant for it, too
        meant = {"config": config, "data": data}
        context.default_map = dict.fromkeys(("list", "install", "uninstall"), meant)


@app.command("list")
def list_plugins(config: ConfigOption = None, data: DataOption = None) -> None:
    """List the plugins that were found: what each provides, or why it is not active."""
    path = config_of(config, data)
    told = _asked(path)
    states = {state.name: state for state in told.plugins} if told else {}
    table = Table(box=None, pad_edge=False)
    headings = ("plugin", "distribution", "version", "status", "provides")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for one in prepare(path if path.exists() else None, os.environ, quiet=True).plugins.plugins:
        status = f"{one.status}: {one.reason}" if one.reason else one.status
        status += _in_the_hub(states.get(one.name), one.status)
        table.add_row(
            one.name, one.distribution, one.version, status, "\n".join(one.provides) or "nothing"
        )
    Console(highlight=False, markup=False).print(table)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Of the plugin, and of its destination type.")],
    folder: Annotated[
        Path | None,
        typer.Option(help="To write into; by default isaax-NAME here.", show_default=False),
    ] = None,
) -> None:
    """Write a plugin to begin with: a package with one destination that passes the check."""
    target = scaffold.write(name, folder)
    for file in sorted(path for path in target.rglob("*") if path.is_file()):
        _say(f"  {file}")
    _say(f"Next: isaax plugins check {target}, and isaax plugins install {target}")


@app.command()
def check(
    subject: Annotated[
        str, typer.Argument(help="Folder with a pyproject.toml, or name of an installed plugin.")
    ],
) -> None:
    """Try a plugin as the hub would use it, and say what to mend; exit code 1 if anything."""
    _say("Trying it; this takes some seconds")
    result = checking.check(subject)
    for name, provides in result.plugins.items():
        _say(f"{name}: {', '.join(provides) or 'provides nothing'}")
    for name, reason in result.problems.items():
        _say(f"{name} cannot be loaded: {reason}")
    for name, reason in result.untried.items():
        _say(f"{name} was not tried: {reason}")
        _say("  Give its test class a `reply` or a `receiver`, and run its tests by pytest.")
    for case in result.cases:
        if case.complaint:
            _say(f"✗ {case.subject}: {case.holds or case.name}")
            for line in case.complaint.splitlines()[:6]:
                _say(f"    {line}")
    failed = sum(1 for case in result.cases if case.complaint)
    if result.cases:
        _say(f"{len(result.cases) - failed} of {len(result.cases)} cases hold")
    raise typer.Exit(FAILED if failed or result.problems or result.untried else 0)


@app.command()
def install(
    spec: Annotated[
        str, typer.Argument(help="Name on PyPI (with a version, if you like), wheel, or folder.")
    ],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Install a plugin, allow it, and have the running hub load it; nothing is lost meanwhile."""
    done = installing.install(spec, config_of(config, data))
    _say(f"{done.distribution} {done.version} is installed: {', '.join(done.plugins)}")
    _say(_what_the_hub_did(done.told))


@app.command()
def uninstall(
    name: Annotated[str, typer.Argument(help="Of the plugin, or of its distribution.")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Remove a plugin: from the running hub, from the list of the allowed, and its package."""
    done = installing.uninstall(name, config_of(config, data))
    _say(f"{done.distribution} {done.version} is removed")
    _say(_what_the_hub_did(done.told))


def config_of(config: Path | None, data: Path | None) -> Path:
    """Give the config file that is meant; it need not be there."""
    if config is not None:
        return config
    if data is None and Path(_CONFIG).is_file():
        return Path(_CONFIG)
    return (data or default_data()) / _CONFIG


def _asked(config: Path) -> Told | None:
    try:
        return ask(config, Ask("status"), seconds=5.0)
    except Unavailable:
        return None


def _in_the_hub(state: PluginState | None, status: str) -> str:
    if state is None:
        return ""
    told = ""
    if state.status != status:
        told += f"; in the hub that runs {state.status}: {state.reason}"
    if state.blocked:
        told += f"; blocked the hub {state.blocked} times"
    if state.leaked:
        told += f"; left {state.leaked} tasks behind"
    return told + (f" ({state.last})" if state.last else "")


def _what_the_hub_did(told: Told | None) -> str:
    if told is None:
        return "No hub is running here; the next one that starts will see to it."
    match told.outcome:
        case "loaded":
            return f"The hub that runs has loaded it: {told.detail}."
        case "restarted":
            return f"The hub was started anew in {told.seconds:.1f} s ({told.detail})."
        case "failed":
            return f"The hub that runs goes on as it was: {told.detail}"
        case _:
            return "The hub that runs has nothing to change."


def _say(text: str) -> None:
    Console(highlight=False, markup=False, soft_wrap=True).print(text)
