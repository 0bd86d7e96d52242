"""`isaax dead-letters …`: what could not be delivered, or not even be taken."""

from typing import TYPE_CHECKING, Annotated

import typer

from hub.client.commands import completing, output
from hub.client.commands.connection import opened
from hub.client.commands.deliveries import show_replay
from hub.client.commands.options import AsJson, HubName, OneIntegration, ProjectName, Yes

if TYPE_CHECKING:
    from hub.client.structs import DeadLetter, DeadLetterView, Dropped

app = typer.Typer(
    no_args_is_help=True, help="Dead letters: what could not be delivered; mend and replay it."
)

FIELDS: "output.Columns[DeadLetterView | DeadLetter]" = {
    "id": lambda one: one.id,
    "since": lambda one: one.at,
    "host": lambda one: one.host or one.device,
    "stream": lambda one: one.stream,
    "lines": lambda one: one.count,
    "reason": lambda one: one.reason,
}
DROPPED: "output.Columns[Dropped]" = {
    "dead letters": lambda one: one.letters,
    "lines": lambda one: one.lines,
}
MaybeIntegration = Annotated[
    str | None,
    typer.Argument(
        help="Name or id of the integration; or give --unreadable.",
        show_default=False,
        autocompletion=completing.integrations,
    ),
]
Unreadable = Annotated[
    bool, typer.Option("--unreadable", help="What devices sent and nobody can read.")
]
Letter = Annotated[str, typer.Argument(help="Id of the dead letter.")]
Letters = Annotated[
    list[str] | None, typer.Argument(help="Ids of dead letters.", show_default=False)
]
All = Annotated[bool, typer.Option("--all", help="All of them.")]


@app.command("list")
def list_letters(
    integration: MaybeIntegration = None,
    unreadable: Unreadable = False,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """List what could not be delivered, oldest first."""
    _one_of(integration, unreadable=unreadable)
    with opened(hub) as session:
        listed = (
            session.hub.list_dead_letters(session.integration(integration, project), limit=200)
            if integration
            else session.hub.list_refused(session.project(project), limit=200)
        )
        output.show_list(listed, FIELDS, as_json=as_json, empty="None.")


@app.command()
def show(
    integration: OneIntegration,
    letter: Letter,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Show a dead letter and its lines."""
    with opened(hub) as session:
        found = session.hub.get_dead_letter(session.integration(integration, project), letter)
    output.show_one(found, FIELDS, as_json=as_json)
    if not as_json:
        output.show_table(found.value.lines, {
            "time": lambda one: one.time,
            "program": lambda one: one.program,
            "message": lambda one: one.message,
        })  # fmt: skip


@app.command()
def fix(
    integration: OneIntegration,
    letter: Letter,
    message: Annotated[
        list[str], typer.Option(help="The text of a line; once for each of its lines, in order.")
    ],
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Correct the texts of a dead letter's lines; a replay then sends it as it is now."""
    with opened(hub) as session:
        meant = session.integration(integration, project)
        fixed = session.hub.patch_dead_letter(meant, letter, {"messages": message})
        output.show_one(fixed, FIELDS, as_json=as_json)


@app.command()
def replay(
    integration: OneIntegration,
    letters: Letters = None,
    everything: All = False,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Deliver dead letters once more, in their order."""
    _some(letters, everything=everything)
    with opened(hub) as session:
        meant = session.integration(integration, project)
        body = {"dead_letters": letters or "all"}
        show_replay(session.hub.replay_integration(meant, body), as_json=as_json)


@app.command()
def drop(
    integration: MaybeIntegration = None,
    letters: Letters = None,
    everything: All = False,
    unreadable: Unreadable = False,
    project: ProjectName = None,
    yes: Yes = False,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Drop dead letters for good."""
    _one_of(integration, unreadable=unreadable)
    _some(letters, everything=everything or unreadable)
    with opened(hub) as session:
        what = f"{len(letters)} dead letters" if letters else "all dead letters"
        output.confirmed(f"Drop {what} for good?", yes=yes)
        if not integration:
            done = session.hub.drop_refused(session.project(project))
        elif letters:
            meant = session.integration(integration, project)
            for letter in letters:
                session.hub.drop_dead_letter(meant, letter)
            output.note("Dropped.")
            return
        else:
            done = session.hub.drop_dead_letters(session.integration(integration, project))
        output.show_one(done, DROPPED, as_json=as_json)


def _one_of(integration: str | None, *, unreadable: bool) -> None:
    if (integration is None) is not unreadable:
        raise typer.BadParameter(
            "give either an integration or --unreadable", param_hint="INTEGRATION"
        )


def _some(letters: list[str] | None, *, everything: bool) -> None:
    if bool(letters) is everything:
        raise typer.BadParameter("give either ids of dead letters or --all", param_hint="LETTERS")
