"""`isaax`: the command line of the hub."""

import functools
import os
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from hub.client import commands
from hub.client.commands.completion import VARIABLE
from hub.client.errors import ClientError
from hub.errors import ConfigError, IsaaxError

BAD_USAGE = 2
"""Exit code when the command line or the config is at fault; nothing was started."""

FAILED = 1
INTERRUPTED = 130

_DEFAULT_CONFIG = Path("hub.toml")
_HERE = "On the hub's own machine"
"""Panel of the help, of all that does not go over the API."""

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="ISAAX_CONFIG",
        help="The config file; ./hub.toml when it is there and nothing else is said.",
        show_default=False,
    ),
]


SLOW: Final = {
    "up": "Run a hub with its own Postgres, NATS and mosquitto, until Ctrl-C.",
    "plugins": "List, write, try, install and remove plugins.",
    "vault": "The key that protects secrets at rest.",
    "accounts": "The accounts of this hub.",
    "audit": "The audit log: check it, and read the hub's own.",
    "limits": "What projects may send.",
    "mail": "The mails that this hub sends.",
}
"""What the help says of commands that take long to load: a test holds it to what they say."""


class _Commands(TyperGroup):
    """The commands of this module, and those that are loaded only when one of them is asked for."""

    _listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        slow = _loaded() if _others_may_be_allowed() else SLOW
        return [*super().list_commands(ctx), *slow, *commands.COMMANDS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        quick = super().get_command(ctx, cmd_name) or commands.load(cmd_name)
        if quick is None and self._listing and cmd_name in SLOW:
            return TyperCommand(cmd_name, help=SLOW[cmd_name], rich_help_panel=_HERE)
        return quick or _loaded().get(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        with self._as_listed():
            super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        with self._as_listed():
            return super().shell_complete(ctx, incomplete)

    @contextmanager
    def _as_listed(self) -> Iterator[None]:
        """Let what is known of slow commands suffice."""
        self._listing = True
        try:
            yield
        finally:
            self._listing = False


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would show local variables, secrets among them
    help="Isaax: a hub for fleets of Linux devices, and a relay for all that they log.",
)
config_app = typer.Typer(no_args_is_help=True, help="Look at the configuration.")
app.add_typer(config_app, name="config", rich_help_panel=_HERE)


def main() -> None:
    """Run the command line; an error of ours is one clear message."""
    if VARIABLE in os.environ:
        _prepare_completion()
    try:
        app(prog_name="isaax")
    except IsaaxError as error:
        print(f"isaax: {_in_words(error)}", file=sys.stderr)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _prepare_completion() -> None:
    """Let a shell ask what words there are, in the way of its script (`isaax completion`)."""
    from typer.completion import completion_init  # type: ignore[attr-defined]

    completion_init()


def _in_words(error: IsaaxError) -> str:
    """One line; or, where there is more to say, a title and indented lines."""
    if isinstance(error, ClientError):
        from hub.client.commands.explain import words

        return words(error)
    if "\n" not in error.detail:
        return str(error)
    return "\n  ".join([f"{error.title}:", *error.detail.splitlines()])


def exit_code(error: IsaaxError) -> int:
    """Tell what the person who started it can mend in the config from all else."""
    if isinstance(error, ClientError):
        return error.exit_code
    from hub.planning import Unplannable

    mendable = isinstance(error, ConfigError | Unplannable) or isinstance(
        error.__cause__, ConfigError
    )
    return BAD_USAGE if mendable else FAILED


@app.command(rich_help_panel=_HERE)
def serve(config: ConfigOption = None) -> None:
    """Run the hub against a Postgres, a NATS and a broker that somebody else runs."""
    import uvloop

    from hub.process import prepare
    from hub.serve import serve as run

    path = _found(config)
    clean = uvloop.run(run(prepare(path, os.environ), path))
    raise typer.Exit(0 if clean else FAILED)


@config_app.command()
def check(config: ConfigOption = None) -> None:
    """Say whether a hub could start with this config, without starting anything."""
    from hub.parts import PARTS
    from hub.process import prepare
    from hub.registry import steps_of

    path = _found(config)
    prepared = prepare(path, os.environ, quiet=True)
    steps = steps_of(prepared.settings, prepared.plugins, parts=PARTS)
    for plugin in prepared.plugins.disabled:
        print(f"warning: the plugin {plugin.name} is disabled: {plugin.reason}", file=sys.stderr)
    print(f"{path or 'the environment'}: valid")
    print(f"starts: {', '.join(step.service.name for step in steps)}")


@config_app.command()
def show(config: ConfigOption = None) -> None:
    """Show every setting: its value, default, environment variable, and who set it."""
    from hub.process import prepare

    prepared = prepare(_found(config), os.environ, quiet=True)
    for section in prepared.sections:
        print(f"[{section.name}]")
        for one in prepared.source.describe(section, prepared.source.section(section)):
            if one.doc:
                print(f"# {one.doc}")
            print(f"# {one.type}, default {one.default}, {one.env}; from: {one.source}")
            print(f"{one.name} = {one.value}")
        print()


@app.command(rich_help_panel=_HERE)
def version() -> None:
    """Say which version this is."""
    from importlib.metadata import version as version_of

    print(f"isaax {version_of('isaax')}")


def _found(config: Path | None) -> Path | None:
    if config is None and _DEFAULT_CONFIG.is_file():
        return _DEFAULT_CONFIG
    return config


def _others_may_be_allowed() -> bool:
    """Say whether the config names plugins of others, whose commands are only known when loaded."""
    if os.environ.get("ISAAX_HUB_PLUGINS"):
        return True
    path = _found(Path(given) if (given := os.environ.get("ISAAX_CONFIG")) else None)
    try:
        hub = tomllib.loads(path.read_text()).get("hub", {}) if path else {}
    except (OSError, ValueError):
        return False  # what is wrong with it is said by the command that is run
    return isinstance(hub, dict) and bool(hub.get("plugins"))


@functools.cache
def _loaded() -> dict[str, Any]:
    """Give `up` and the commands of plugins, by name.

    The config decides which plugins may be loaded. What is wrong with it is not said here: the
    command that is run reads it too, and one that does not need it must not fail for it.
    """
    from hub.authoring.commands import app as plugins_app
    from hub.embedded.up import up
    from hub.plugins import PluginHost
    from hub.process import allowed_plugins
    from hub.vault_commands import app as vault_app

    loaded = typer.Typer(add_completion=False)
    loaded.command(rich_help_panel=_HERE)(up)
    loaded.add_typer(plugins_app, name="plugins", rich_help_panel=_HERE)
    loaded.add_typer(vault_app, name="vault", rich_help_panel=_HERE)
    config = os.environ.get("ISAAX_CONFIG")
    try:
        allowed = allowed_plugins(_found(Path(config) if config else None), os.environ)
    except ConfigError:
        allowed = ()
    plugins = PluginHost.load(allowed, quiet=True)
    for name, command in sorted(plugins.commands.items()):
        loaded.add_typer(command.app, name=name, help=command.help, rich_help_panel=_HERE)
    group = typer.main.get_command(loaded)
    return dict(group.commands) if isinstance(group, TyperGroup) else {"up": group}


if __name__ == "__main__":
    main()
