"""`isaax alerts …`: what is worth telling of devices, and what was told."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hub.client.commands import completing, output
from hub.client.commands.connection import Session, opened
from hub.client.commands.naming import find
from hub.client.commands.options import AsJson, HubName, ProjectName, Yes

if TYPE_CHECKING:
    from hub.client.answers import Answer
    from hub.client.structs import AlertRuleView, AlertView

app = typer.Typer(no_args_is_help=True, help="Alerts: what is worth telling, and what was told.")


def looks_for(one: "AlertRuleView") -> str:
    """Say what a rule looks for, as `disk_usage_ratio over 0.9 for 5 min`."""
    within = f"{one.minutes} min"
    lines = f"lines in {one.stream}" if one.stream else "lines"
    match one.kind:
        case "metric":
            word, bound = ("under", one.under) if one.over is None else ("over", one.over)
            return f"{one.metric} {word} {bound:g} for {within}"
        case "error-rate":
            return f"over {one.over:g} {lines}, {one.level} or worse, in {within}"
        case "silence":
            return f"no {lines} for {within}"
    return f"offline for {within}"


RULES: "output.Columns[AlertRuleView]" = {
    "id": lambda one: one.id,
    "name": lambda one: one.name,
    "tells of": looks_for,
    "of": lambda one: one.device or one.group or "all",
    "severity": lambda one: one.severity,
    "state": lambda one: "active" if one.enabled else "paused",
    "firing": lambda one: one.firing,
}
TOLD: "output.Columns[AlertView]" = {
    "at": lambda one: one.at,
    "device": lambda one: one.host,
    "state": lambda one: one.state,
    "severity": lambda one: one.severity,
    "text": lambda one: one.text,
}
Severity = Literal["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]
Rule = Annotated[str, typer.Argument(help="Name or id of the rule.")]
Only = Annotated[
    str | None,
    typer.Option(
        "--device",
        "-d",
        help="Only of this device, by label or id.",
        show_default=False,
        autocompletion=completing.devices,
    ),
]


@app.command("list")
def list_rules(project: ProjectName = None, hub: HubName = None, as_json: AsJson = False) -> None:
    """List a project's rules, and of how many devices each one tells at present."""
    with opened(hub) as session:
        found = session.hub.list_alert_rules(session.project(project), limit=200)
        output.show_list(found, RULES, as_json=as_json, empty="None: isaax alerts create KIND")


@app.command()
def show(
    rule: Rule, project: ProjectName = None, hub: HubName = None, as_json: AsJson = False
) -> None:
    """Show a rule."""
    with opened(hub) as session:
        output.show_one(_meant(session, rule, project), RULES, as_json=as_json)


@app.command()
def create(
    kind: Annotated[
        Literal["offline", "metric", "error-rate", "silence"],
        typer.Argument(metavar="KIND", help="offline, metric, error-rate or silence."),
    ],
    name: Annotated[
        str | None, typer.Option(help="By default the kind.", show_default=False)
    ] = None,
    minutes: Annotated[
        int, typer.Option(help="For which it has to be so, or in which lines are counted.")
    ] = 5,
    metric: Annotated[
        str | None, typer.Option(help="As disk_usage_ratio.", show_default=False)
    ] = None,
    over: Annotated[
        float | None, typer.Option(help="The bound: of a metric, or of lines.", show_default=False)
    ] = None,
    under: Annotated[float | None, typer.Option(help="Likewise.", show_default=False)] = None,
    clear: Annotated[
        float | None, typer.Option(help="Where it is well again.", show_default=False)
    ] = None,
    stream: Annotated[
        Literal["app", "sys", "agent"] | None,
        typer.Option(help="The only one whose lines count.", show_default=False),
    ] = None,
    level: Annotated[
        Severity | None,
        typer.Option(help="Lines of it or worse count; by default err.", show_default=False),
    ] = None,
    severity: Annotated[Severity, typer.Option(help="Of what is told.")] = "warning",
    group: Annotated[
        str | None, typer.Option("--group", "-g", help="Only of a group.", show_default=False)
    ] = None,
    device: Only = None,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Have something told: once that it is so, and once that it is so no more."""
    given: dict[str, Any] = {
        "metric": metric, "over": over, "under": under, "clear": clear, "stream": stream,
        "level": level, "group": group,
    }  # fmt: skip
    body = {"name": name or kind, "kind": kind, "minutes": minutes, "severity": severity}
    body |= {one: value for one, value in given.items() if value is not None}
    with opened(hub) as session:
        if device is not None:
            body["device"] = session.device(device, project)
        made = session.hub.create_alert_rule(session.project(project), body)
        output.show_one(made, RULES, as_json=as_json)


@app.command()
def pause(
    rule: Rule, project: ProjectName = None, hub: HubName = None, as_json: AsJson = False
) -> None:
    """Tell nothing for now."""
    _switch(rule, project, hub, enabled=False, as_json=as_json)


@app.command()
def resume(
    rule: Rule, project: ProjectName = None, hub: HubName = None, as_json: AsJson = False
) -> None:
    """Tell again; what is so is told anew."""
    _switch(rule, project, hub, enabled=True, as_json=as_json)


@app.command()
def delete(
    rule: Rule,
    project: ProjectName = None,
    yes: Yes = False,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Delete a rule; what it told stays in the history."""
    with opened(hub) as session:
        found = _meant(session, rule, project)
        name = output.clean(found.value.name)
        output.confirmed(f"Delete {name}?", yes=yes)
        session.hub.delete_alert_rule(found.value.id, if_match=found.etag)
        output.note(f"{name} is deleted.")


@app.command()
def firing(
    device: Only = None,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """List what is so at present."""
    _list(device, project, hub, firing=True, as_json=as_json)


@app.command()
def history(
    device: Only = None,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """List what was told in the last 90 days, the newest first."""
    _list(device, project, hub, firing=False, as_json=as_json)


def _list(
    device: str | None, project: str | None, hub: str | None, *, firing: bool, as_json: bool
) -> None:
    with opened(hub) as session:
        within = session.project(project)
        meant = session.device(device, within) if device is not None else None
        found = session.hub.list_alerts(within, limit=200, device=meant, firing=firing)
        output.show_list(found, TOLD, as_json=as_json, empty="Nothing.")


def _switch(
    rule: str, project: str | None, hub: str | None, *, enabled: bool, as_json: bool
) -> None:
    with opened(hub) as session:
        found = _meant(session, rule, project)
        changed = session.hub.patch_alert_rule(
            found.value.id, {"enabled": enabled}, if_match=found.etag
        )
        output.show_one(changed, RULES, as_json=as_json)


def _meant(session: Session, rule: str, project: str | None) -> "Answer[AlertRuleView]":
    listed = session.hub.list_alert_rules(session.project(project), limit=200)
    return session.hub.get_alert_rule(find("alert rule", rule, listed, lambda one: one.name))
