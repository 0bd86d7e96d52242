"""What is done with an integration: pause, resume, test, dry-run, replay."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hub.client.commands import completing, output, values
from hub.client.commands.connection import opened
from hub.client.commands.fields import INTEGRATION
from hub.client.commands.options import AsJson, HubName, OneIntegration, ProjectName
from hub.client.commands.settings import Assigned, ConfigFile, Secrets, ShapeFile

if TYPE_CHECKING:
    from hub.client.answers import Answer
    from hub.client.structs import ReplayView, ShapedLine, TestResult

RESULT: "output.Columns[TestResult]" = {
    "outcome": lambda one: one.outcome,
    "reason": lambda one: one.reason,
    "seconds": lambda one: round(one.seconds, 3),
    "status": lambda one: one.status,
    "answer": lambda one: one.answer,
}
SHAPED: "output.Columns[ShapedLine]" = {
    "outcome": lambda one: one.outcome,
    "line": lambda one: one.line.message,
    "as it would be sent": lambda one: one.after.message if one.after else None,
}
REPLAY: "output.Columns[ReplayView]" = {
    "dead letters": lambda one: one.letters,
    "lines": lambda one: one.lines,
    "from": lambda one: one.from_,
    "note": lambda one: one.note,
}
GOOD: Final = frozenset({"taken", "written"})


def pause(
    integration: OneIntegration,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Let lines wait for an integration, as long as they are kept."""
    with opened(hub) as session:
        meant = session.integration(integration, project)
        output.show_one(session.hub.pause_integration(meant), INTEGRATION, as_json=as_json)


def resume(
    integration: OneIntegration,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Let an integration go on where it was paused."""
    with opened(hub) as session:
        meant = session.integration(integration, project)
        output.show_one(session.hub.resume_integration(meant), INTEGRATION, as_json=as_json)


def try_out(
    integration: Annotated[
        str | None,
        typer.Argument(
            help="Name or id of the integration; or give --type.",
            show_default=False,
            autocompletion=completing.integrations,
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--type",
            help="Try a config of this type that is not saved.",
            show_default=False,
            autocompletion=completing.types,
        ),
    ] = None,
    message: Annotated[str, typer.Option(help="Of the line that is sent.")] = "",
    assigned: Assigned = None,
    secrets: Secrets = None,
    config_file: ConfigFile = None,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Send a test line now, and show what the destination answers; exit code 1 if that is no."""
    if (integration is None) is (kind is None):
        raise typer.BadParameter("give either an integration or --type", param_hint="INTEGRATION")
    with opened(hub) as session:
        if integration is not None:
            meant = session.integration(integration, project)
            result = session.hub.test_integration(meant, {"message": message})
        else:
            within = session.project(project)
            schema = session.kind(str(kind)).value.config_schema
            config = values.config(assigned or (), config_file, secrets or (), schema)
            body = {"type": kind, "config": config, "message": message}
            result = session.hub.test_integration_config(within, body)
    output.show_one(result, RESULT, as_json=as_json)
    raise typer.Exit(0 if result.value.outcome in GOOD else 1)


def dry_run(
    integration: OneIntegration,
    shape_file: ShapeFile = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=100)] = 10,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Show what a shape does to the last lines; nothing is sent."""
    body: dict[str, Any] = {"limit": lines}
    if shape_file:
        body["shape"] = values.read_json(shape_file, "--shape")
    with opened(hub) as session:
        done = session.hub.dry_run_integration(session.integration(integration, project), body)
    if as_json:
        output.write_json(done.body)
    elif done.value:
        output.show_table(done.value, SHAPED)
    else:
        output.note("There are no lines yet.")


def replay(
    integration: OneIntegration,
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Deliver the lines since then again, 2026-11-23T15:04:05Z; now leaves out what"
            " waits.",
            show_default=False,
        ),
    ] = None,
    letters: Annotated[
        bool, typer.Option("--dead-letters", help="Deliver all its dead letters.")
    ] = False,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Deliver dead letters, or the lines since a time, once more."""
    if (since is None) is not letters:
        raise typer.BadParameter("give either --from or --dead-letters", param_hint="--from")
    body = {"dead_letters": "all"} if letters else {"from": since}
    with opened(hub) as session:
        meant = session.integration(integration, project)
        show_replay(session.hub.replay_integration(meant, body), as_json=as_json)


def show_replay(answer: "Answer[ReplayView]", *, as_json: bool) -> None:
    """Show what is delivered once more."""
    output.show_one(answer, REPLAY, as_json=as_json)
    if answer.value.more:
        output.note("There are more than fit at once: do it again.")
