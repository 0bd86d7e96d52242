"""`isaax integrations …`: where a project's lines go."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.client.commands import completing, deliveries, editing, output, values
from hub.client.commands.connection import opened
from hub.client.commands.fields import INTEGRATION, INTEGRATIONS
from hub.client.commands.options import AsJson, HubName, OneIntegration, ProjectName, Yes
from hub.client.commands.settings import Assigned, ConfigFile, Secrets, ShapeFile

if TYPE_CHECKING:
    from hub.client.structs import IntegrationType

app = typer.Typer(no_args_is_help=True, help="Integrations: where a project's lines go.")

TYPES: "output.Columns[IntegrationType]" = {
    "name": lambda one: one.name,
    "title": lambda one: one.title,
    "summary": lambda one: one.summary,
}


@app.command()
def types(
    name: Annotated[
        str | None,
        typer.Argument(
            help="One of them, with its settings.",
            show_default=False,
            autocompletion=completing.types,
        ),
    ] = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """List the kinds of integration, or the settings of one."""
    with opened(hub) as session:
        if name is None:
            listed = session.hub.list_integration_types()
            output.show_list(listed, TYPES, as_json=as_json, empty="None.")
            return
        found = session.kind(name)
    output.show_one(found, TYPES, as_json=as_json)
    if not as_json:
        output.show_table(values.settings(found.value.config_schema), {
            "setting": lambda one: one.name,
            "is": lambda one: one.kind,
            "required": lambda one: one.required,
            "what": lambda one: one.description,
        })  # fmt: skip


@app.command("list")
def list_integrations(
    project: ProjectName = None, hub: HubName = None, as_json: AsJson = False
) -> None:
    """List a project's integrations, and how they fare."""
    with opened(hub) as session:
        output.show_list(
            session.hub.list_integrations(session.project(project), limit=200), INTEGRATIONS,
            as_json=as_json, empty="None: isaax integrations create TYPE",
        )  # fmt: skip


@app.command()
def show(
    integration: OneIntegration,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Show an integration: its config without secrets, its shape, and how it fares."""
    with opened(hub) as session:
        found = session.hub.get_integration(session.integration(integration, project))
    if as_json:
        output.write_json(found.body)
        return
    fields = {name: of(found.value) for name, of in INTEGRATION.items()}
    raw = output.values_of(found.body)
    shape = output.flat(raw["shape"], "shape")
    fields |= output.flat(raw["config"], "config")
    output.show_fields(fields | {name: one for name, one in shape.items() if one is not False})


@app.command()
def create(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="TYPE", help="See isaax integrations types.", autocompletion=completing.types
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="By default that of the type.", show_default=False)
    ] = None,
    assigned: Assigned = None,
    secrets: Secrets = None,
    config_file: ConfigFile = None,
    shape_file: ShapeFile = None,
    paused: Annotated[bool, typer.Option("--paused", help="Let lines wait for now.")] = False,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Send a project's lines to another place, from now on."""
    with opened(hub) as session:
        within = session.project(project)
        schema = session.kind(kind).value.config_schema
        body: dict[str, Any] = {
            "type": kind,
            "name": name or kind,
            "config": values.config(assigned or (), config_file, secrets or (), schema),
            "enabled": not paused,
        }
        if shape_file:
            body["shape"] = values.read_json(shape_file, "--shape")
        output.show_one(session.hub.create_integration(within, body), INTEGRATION, as_json=as_json)


@app.command()
def edit(
    integration: OneIntegration,
    name: Annotated[str | None, typer.Option(help="The new one.", show_default=False)] = None,
    assigned: Assigned = None,
    secrets: Secrets = None,
    unset: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Put a setting back to its default.", show_default=False),
    ] = None,
    config_file: ConfigFile = None,
    shape_file: ShapeFile = None,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Change an integration: what is given, or all of it in your editor when nothing is.

    It goes on where it was: nothing is lost or sent again. Where the config changes, its secrets
    are to be given again.
    """
    with opened(hub) as session:
        found = session.hub.get_integration(session.integration(integration, project))
        changes: dict[str, Any] = {"name": name} if name else {}
        if assigned or secrets or unset or config_file:
            schema = session.kind(found.value.type).value.config_schema
            config = values.config(assigned or (), config_file, secrets or (), schema)
            for one in unset or ():
                values.put(config, one, None)
            changes["config"] = config
        if shape_file:
            changes["shape"] = values.read_json(shape_file, "--shape")
        identifier = found.value.id
        if changes:
            changed = session.hub.patch_integration(identifier, changes, if_match=found.etag)
        else:
            with editing.edited(output.values_of(found.body)) as whole:
                changed = session.hub.put_integration(identifier, whole, if_match=found.etag)
        output.show_one(changed, INTEGRATION, as_json=as_json)


@app.command()
def delete(
    integration: OneIntegration,
    project: ProjectName = None,
    yes: Yes = False,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Delete an integration and its dead letters; the lines stay in the project's log."""
    with opened(hub) as session:
        found = session.hub.get_integration(session.integration(integration, project))
        name = output.clean(found.value.name)
        output.confirmed(f"Delete {name} and its dead letters?", yes=yes)
        session.hub.delete_integration(found.value.id, if_match=found.etag)
        output.note(f"{name} is deleted.")


app.command()(deliveries.pause)
app.command()(deliveries.resume)
app.command("test")(deliveries.try_out)
app.command()(deliveries.dry_run)
app.command()(deliveries.replay)
