"""What the API takes and answers.

Written by `python -m hub.client.generator` from the OpenAPI document: do not edit.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

from hub.secret import Secret


class AcceptedView(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for is being done; `detail` says where its outcome will be told."""

    detail: str


class AccountBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client sets of an account."""

    name: str


Role = str
"""What a member of an account is."""


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who did it.

    Args:
        kind: `person` (logged in), `token`, `device`, `terminal` (a command on the hub's
            machine), `hub` (by itself) or `anonymous`.
        id: of the session, token or device.
        user: id of the person, where it is one, or a person's token.
        role: of that person in the account.
    """

    kind: str = "hub"
    id: str = "hub"
    user: str = ""
    role: str = ""


class AlertRuleBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is worth telling.

    Args:
        name: what it is called in what it tells.
        kind: `offline`: a device is not connected; `metric`: a series is over, or under, a
            bound; `error-rate`: a device sends more bad lines than `over`; `silence`: it
            sends none.
        group: of the only devices that it concerns; "" for all.
        severity: of the line that it tells.
        minutes: for which it has to be so, or (`error-rate`, 60 at most) in which so many
            come.
        metric: name of a metric, as `disk_usage_ratio`; each series of a device by itself.
        over, under: the bound; one of the two. Of `error-rate`: `over` so many lines.
        clear: where it has to come back to until it is well again; by default the bound.
        device: id of the only device that it concerns, instead of a group.
        stream: of `error-rate` and `silence`: the only stream that counts; "" for any.
        level: of `error-rate`: lines of this severity or worse count; by default `err`.
    """

    name: str
    kind: Literal["error-rate", "metric", "offline", "silence"]
    group: str = ""
    severity: Literal["alert", "crit", "debug", "emerg", "err", "info", "notice", "warning"] = (
        "warning"
    )
    enabled: bool = True
    minutes: int = 5
    metric: str = ""
    over: float | None = None
    under: float | None = None
    clear: float | None = None
    device: str = ""
    stream: Literal["", "agent", "app", "sys"] = ""
    level: Literal["alert", "crit", "debug", "emerg", "err", "info", "notice", "warning"] | None = (
        None
    )


class AlertRuleView(msgspec.Struct, frozen=True, kw_only=True):
    """An alert rule; `firing` says of how many devices, or series, it tells at present."""

    id: str
    project: str
    name: str
    kind: str
    group: str
    severity: str
    enabled: bool
    minutes: int
    metric: str
    over: float | None
    under: float | None
    clear: float | None
    device: str
    stream: str
    level: str | None
    created_at: datetime
    updated_at: datetime
    firing: int = 0


class AlertView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a rule told: that it `fired`, or is `resolved`.

    Args:
        host: the device's label at that time, or its id.
        subject: labels of the series, as `mount=/data`; "" of the device.
    """

    rule: str
    rule_name: str
    device: str
    host: str
    subject: str
    state: str
    severity: str
    text: str
    at: datetime


class ApiTokenBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client sets of an API token.

    Args:
        scopes: names of permissions that it may be used for, at most those of its maker;
            `*`: all that its maker may do at the time.
        expires_at: when it ends; null: it does not.
    """

    name: str
    scopes: list[str]
    expires_at: datetime | None = None


class ApiTokenView(msgspec.Struct, frozen=True, kw_only=True):
    """An API token as the API shows it.

    Args:
        user: whom it acts for; null: for the account itself.
        prefix: how it begins.
        last_used_at: exact to a minute.
        token: itself, only in the answer that made it.
    """

    id: str
    user: str | None
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    token: str | None = None


class ProgramView(msgspec.Struct, frozen=True, kw_only=True):
    """One program of a device's app.

    Args:
        state: one of those of `app`, or another that a newer agent knows.
        since: when that began.
        restarts: starts that followed an end which nobody asked for, since the agent began.
        exit: how it ended last: exit status, or a negative signal; null when it never did,
            or could not be started.
        error: what was wrong then, in words.
        unlimited: limits that it is to have are not enforced: the agent's log says why.
    """

    name: str
    state: str
    since: datetime
    restarts: int
    exit: int | None
    error: str
    unlimited: bool


class AskResetBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whose password is forgotten."""

    email: str


class AssertionResponse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`AuthenticatorAssertionResponseJSON`."""

    client_data_json: str = msgspec.field(name="clientDataJSON")
    authenticator_data: str = msgspec.field(name="authenticatorData")
    signature: str
    user_handle: str | None = msgspec.field(name="userHandle", default=None)


class Attestation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`AuthenticatorAttestationResponseJSON`, as far as it is looked at."""

    client_data_json: str = msgspec.field(name="clientDataJSON")
    attestation_object: str = msgspec.field(name="attestationObject")
    transports: list[str] = []


class AuditExport(msgspec.Struct, frozen=True, kw_only=True):
    """Where the audit log is sent.

    Args:
        project: into whose stream `sys`, as program `audit`; null: nowhere.
        sent: number of the last entry that has arrived there.
        waiting: entries that have yet to.
    """

    project: str | None
    sent: int | None
    waiting: int


class AuditExportBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where to send the audit log.

    Args:
        project: one of the account's; null: nowhere.
    """

    project: str | None


class CodeBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The code that the app shows now."""

    code: Secret


class CodesView(msgspec.Struct, frozen=True, kw_only=True):
    """Recovery codes, which are shown this once; each is good once.

    Args:
        recovery_codes: none where there are some already, which stay good.
    """

    recovery_codes: list[str]


class CommandAction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be done.

    Args:
        type: `script`; `start`, `stop`, `restart` or `reload` what the agent looks after;
            `reboot` the device; `custom`, what the device's owner allows in its isaax.conf.
        body: of a script: a program of its own where it begins with `#!`, else for
            `/bin/sh`.
        program: that is started, stopped, restarted or reloaded; left out, all are.
        name: of a custom command.
        arguments: of a custom command, which finds each as `ISAAX_ARG_<NAME>` in its
            environment.
    """

    type: str
    body: str = ""
    program: str = ""
    name: str = ""
    arguments: dict[str, str] = {}


class CommandResultView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command on one device.

    Args:
        status: `waiting` to begin, `running`; `done` (exit code 0), `later` (21: it asks to
            be tried again), `failed` (any other); `timeout`; `refused` by the agent;
            `interrupted`, when the agent ended meanwhile; `expired`, when it did not begin
            in time; `lost`, when it began and its end was not heard of; `cancelled` before
            it began.
        output: what it wrote, its beginning and its end.
        error: why it was refused, interrupted or cancelled, or what failed.
    """

    device: str
    status: str
    code: int | None
    output: str
    error: str
    seconds: float | None
    started_at: datetime | None
    ended_at: datetime | None


class DataCount(msgspec.Struct, frozen=True, kw_only=True):
    """MQTT messages, and the bytes of their topics and payloads: up from devices, and down."""

    up_messages: int = 0
    up_bytes: int = 0
    down_messages: int = 0
    down_bytes: int = 0


class DataDay(msgspec.Struct, frozen=True, kw_only=True):
    """What a day (UTC) comes to."""

    up_messages: int = 0
    up_bytes: int = 0
    down_messages: int = 0
    down_bytes: int = 0
    day: str


class DeadLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a dead letter; `time` is RFC 3339."""

    id: str
    time: str
    priority: int
    program: str
    message: str


class DeadLetterView(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter in a list: all but its lines.

    Args:
        at: when it became one; `received` when the hub took it (RFC 3339).
        count: lines or samples in it.
    """

    id: str
    source: str
    reason: str
    device: str
    host: str
    stream: str
    at: str
    received: str
    count: int


class DeletionBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The password of the owner who asks."""

    password: Secret


class DeletionView(msgspec.Struct, frozen=True, kw_only=True):
    """What goes with an account.

    Args:
        state: `none`, nobody asked for it; `waiting`, it can be undone until `due_at`;
            `erasing`, it cannot any more.
        counts: how many there are of what, at this moment; at least, where something is
            unknown.
        unknown: services that do not answer now, so that not all that they keep is counted.
            It is erased all the same, once they answer.
    """

    state: str
    counts: dict[str, int]
    unknown: list[str]
    requested_at: datetime | None
    due_at: datetime | None


class OwnedView(msgspec.Struct, frozen=True, kw_only=True):
    """An account that you are the last owner of.

    Args:
        others: members besides you.
        outcome: `deleted`, it goes with you; `closing`, it is being deleted already;
            `blocks`, others are in it: make one of them owner, or delete it first.
    """

    id: str
    name: str
    others: int
    outcome: str


class DeviceApprovals(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Devices to be let in."""

    devices: list[str]


class DeviceChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one device becomes; what is left out, or null, stays as it is.

    Args:
        if_match: Change it only if it still has this ETag (412 otherwise).
    """

    device: str
    label: str | None = None
    group: str | None = None
    add_tags: list[str] = []
    remove_tags: list[str] = []
    if_match: str | None = None


class DeviceDataCount(msgspec.Struct, frozen=True, kw_only=True):
    """What a device comes to; `label` may be ""."""

    up_messages: int = 0
    up_bytes: int = 0
    down_messages: int = 0
    down_bytes: int = 0
    device: str
    label: str


class DeviceEnvarView(msgspec.Struct, frozen=True, kw_only=True):
    """A variable as a device gets it.

    Args:
        value: filled in; null of a secret.
        level: where it is set: of those that set it the nearest to the device.
    """

    value: str | None
    secret: bool
    restart: bool
    changed_at: datetime
    level: str


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """How many dead letters were dropped, and how many lines and samples in them.

    Args:
        more: they were very many, and some are left: ask again.
    """

    letters: int
    lines: int
    more: bool = False


class EmailBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The address that somebody wants to have, and their password."""

    email: str
    password: Secret


class EntryOptionsBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one wants to log in.

    Args:
        cookie: only the browser that asks may answer; it has to take a cookie.
    """

    cookie: bool = False


class EnvarBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client sets of a variable.

    Args:
        value: At most 16 KiB. `${DEVICE_ID}`, `${DEVICE_LABEL}`, `${GROUP}` and
            `${PROJECT_ID}` are filled in for each device; a plain `${` is written `$${`.
            Left out, a secret keeps the value that it has.
        secret: It is kept encrypted, and never shown.
        restart: A device starts its app anew when this changes.
    """

    value: str | None = None
    secret: bool = False
    restart: bool = False


class EnvarStatusView(msgspec.Struct, frozen=True, kw_only=True):
    """How far a device is.

    Args:
        version: that it is to have; applied: that it uses, as it says.
        error: why it could not take up the newest, in its words.
    """

    device: str
    label: str
    group: str
    online: bool
    version: int
    applied: int
    error: str
    reported_at: datetime | None


class EnvarView(msgspec.Struct, frozen=True, kw_only=True):
    """A variable as the API shows it.

    Args:
        value: as it was written; null of a secret.
    """

    value: str | None
    secret: bool
    restart: bool
    changed_at: datetime


class ExportView(msgspec.Struct, frozen=True, kw_only=True):
    """What may be taken along; `archive` is where."""

    id: str
    created_at: datetime
    expires_at: datetime
    archive: str


class FactorsView(msgspec.Struct, frozen=True, kw_only=True):
    """The second factors that one has.

    Args:
        totp_since: when the authenticator app was confirmed; null without one.
        recovery_codes: that are left.
    """

    totp_since: datetime | None
    recovery_codes: int
    passkeys: int


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong in an input, and where.

    Args:
        pointer: JSON pointer (RFC 6901) into the input, "" for the whole of it.
        detail: what is wrong there, in words a user understands.
    """

    pointer: str
    detail: str


class Match(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Conditions on a line; it matches when all that are given hold.

    Args:
        streams: any of `app`, `sys`, `agent`, `metric.cpu`, …
        devices: any of these, by id.
        groups, programs: any of these, by name.
        severity: this one or a more severe one (`err` also matches `crit`).
        text: part of the message, as it is written.
        regex: found somewhere in the message (RE2 syntax: no backtracking, so no bad
            pattern can hold up the hub).
    """

    streams: list[str] = []
    devices: list[str] = []
    groups: list[str] = []
    severity: str | None = None
    programs: list[str] = []
    text: str = ""
    regex: str = ""


class GroupBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client sets of a new group.

    Args:
        name: What an integration's filter may ask for
    """

    name: str
    description: str = ""


class GroupView(msgspec.Struct, frozen=True, kw_only=True):
    """A group as the API shows it; `devices` are in it, `online` of them have a session now."""

    name: str
    description: str
    devices: int
    online: int
    created_at: datetime


class IntegrationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How an integration fares.

    Args:
        state: `starting`, `delivering`, `waiting` (nothing to send), `retrying`, `open`
            (the circuit breaker is), `paused`, `broken` (its config or plugin cannot be
            used).
        pending: batches stored and not yet delivered.
        lag_lines: lines (and samples) in them; `lag_seconds` the age of the oldest.
        delivered, rejected: lines since the start of this process.
        left_out: lines that the shape left out since then, by step (`filter`, `sample`, …).
        gap_lines: lines (at most) that retention, or damage to the store, took before they
            were delivered; of dead letters that were to be replayed, too.
        dead_letters: kept, and not yet replayed or dropped.
        lost_letters: dead letters (at most) that age, or want of room, took before they
            were; `lost_lines` in them, as far as that is known.
        error, error_at: the last one, in words a user understands, and when (µs).
    """

    id: str
    state: str
    pending: int = 0
    lag_lines: int = 0
    lag_seconds: float = 0.0
    delivered: int = 0
    rejected: int = 0
    left_out: dict[str, int] = {}
    gap_lines: int = 0
    dead_letters: int = 0
    lost_letters: int = 0
    lost_lines: int = 0
    error: str = ""
    error_at: int = 0


class IntegrationType(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of destination, with the JSON Schema (2020-12) of its config."""

    name: str
    title: str
    summary: str
    config_schema: dict[str, Any]
    examples: list[dict[str, Any]]


class Join(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Put lines that belong together into one, such as those of a stack trace.

    Args:
        continues: RE2; a line in which it is found continues the one before it. By default
            one that is indented, or begins as continued stack traces of common languages
            do.
        starts: RE2, instead: every line in which it is *not* found continues the one
            before.
        max_lines, max_bytes: of a joined line; what is more begins another.
        wait: seconds that the last line of a device's stream waits for what may continue
            it.
    """

    continues: str = ""
    starts: str = ""
    max_lines: int = 200
    max_bytes: int = 32768
    wait: float = 1.0


class UsageView(msgspec.Struct, frozen=True, kw_only=True):
    """What a project sent on a day.

    Args:
        day: in UTC, until now; it lags by a minute or two.
        bytes: as stored: compressed.
    """

    day: str
    lines: int
    samples: int
    bytes: int


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line as the API shows it; `time` and `received` are RFC 3339 in UTC."""

    id: str
    time: str
    received: str
    device: str
    host: str
    stream: str
    severity: str
    facility: str
    program: str
    message: str


class LoginBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who logs in.

    Args:
        cookie: keep the session in a cookie that scripts cannot read, and leave out its
            token: for a browser.
    """

    email: str
    password: Secret
    cookie: bool = False


class MetricPoint(msgspec.Struct, frozen=True, kw_only=True):
    """What the samples of one step come to.

    Args:
        at: where the step begins.
        value: the mean of the samples; of a counter, by how much it grew each second.
        min, max: of the samples; None of a counter.
        count: of samples.
    """

    at: datetime
    value: float
    min: float | None
    max: float | None
    count: int


class NewPasskeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A passkey that was just added.

    Args:
        recovery_codes: see `CodesView`.
    """

    id: str
    name: str
    transports: list[str]
    created_at: datetime
    last_used_at: datetime | None
    recovery_codes: list[str]


class NewSessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session that has just begun; its token is shown this once, null where a cookie has it."""

    id: str
    address: str
    agent: str
    created_at: datetime
    seen_at: datetime
    ends_at: datetime
    current: bool
    csrf_token: str | None = None
    token: str | None


class NewTotpView(msgspec.Struct, frozen=True, kw_only=True):
    """A secret for an authenticator app, which is shown this once.

    Args:
        uri: the same as `otpauth://…`; `qr` is that as a QR code, in SVG.
    """

    secret: str
    uri: str
    qr: str


class OfferedView(msgspec.Struct, frozen=True, kw_only=True):
    """The account that one owns now, and from whom."""

    account: str
    name: str
    giver: str


class OptionsView(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser is to be asked with, in its own JSON form.

    Args:
        challenge: goes with the answer; it is good once.
        options: for `PublicKeyCredential.parseCreationOptionsFromJSON`, or
            `parseRequestOptionsFromJSON`.
    """

    challenge: str
    options: dict[str, Any]
    expires_at: datetime


class PasskeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A passkey, as its owner knows it.

    Args:
        transports: ways to reach it, as the browser told: `usb`, `internal`, `hybrid`, …
    """

    id: str
    name: str
    transports: list[str]
    created_at: datetime
    last_used_at: datetime | None


class PasswordBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A new password, and the one that it replaces."""

    current_password: Secret
    new_password: Secret


class PreviewBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The token of an invitation's link: the last part of its path."""

    token: Secret


class ProjectBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client sets of a project."""

    name: str


class ProjectTokenBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client sets of a project token: its name, and what registering with it means.

    Args:
        group: The group that a device is in when it registers.
        approval: Devices are let in once somebody has approved them.
    """

    name: str = "devices"
    expires_at: datetime | None = None
    max_devices: int | None = None
    group: str = "default"
    approval: bool = False


class ProjectTokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A project token as the API shows it; `token` itself only in the answer that made it."""

    id: str
    name: str
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    max_devices: int | None
    group: str
    approval: bool
    token: str | None = None


class ProjectView(msgspec.Struct, frozen=True, kw_only=True):
    """A project as the API shows it."""

    id: str
    name: str
    created_at: datetime
    updated_at: datetime


class RateLimit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Send at most so many lines.

    Args:
        lines_per_second: on average.
        burst: lines at once, after a pause; by default those of one second.
        over: `wait` delivers what is too much later, `drop` leaves it out and counts it.
    """

    lines_per_second: float
    burst: int = 0
    over: str = "wait"


class RedactPattern(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something else to hide.

    Args:
        regex: RE2 syntax; all of it that matches is replaced.
        replacement: by this.
    """

    regex: str
    replacement: str = "[redacted]"


class RedeemBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The token of an invitation's link, and what a newcomer chooses."""

    token: Secret
    name: str = ""
    password: Secret = Secret("")
    locale: Literal["en", "ja"] = "en"


class RelayHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the relay fares with them.

    Args:
        lines_per_second, samples_per_second, bytes_per_second: taken from devices and
            sources, over ten seconds.
        integrations: how many there are, by state.
        pending: batches that are stored and not yet delivered, of all integrations.
        lag_lines, lag_seconds: of the integration that is furthest behind.
        gap_lines: lines (at most) that were lost before they were delivered.
        dead_letters: of all integrations, and of what devices sent and nobody can read.
        lost_letters: of these (at most), that age, or want of room, took.
    """

    lines_per_second: float
    samples_per_second: float
    bytes_per_second: float
    integrations: dict[str, int]
    pending: int
    lag_lines: int
    lag_seconds: float
    gap_lines: int
    dead_letters: int
    lost_letters: int


class Rename(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Call things otherwise there.

    Args:
        programs, hosts, metrics: new name by old one.
    """

    programs: dict[str, str] = {}
    hosts: dict[str, str] = {}
    metrics: dict[str, str] = {}


class ReplayBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What to deliver once more: dead letters, or the lines since a time.

    Args:
        dead_letters: `all`, or the ids of some.
        from: a time (RFC 3339), or `now`, which leaves out what waits.
    """

    dead_letters: Literal["all"] | list[str] | None = None
    from_: str | None = msgspec.field(name="from", default=None)


class ReplayView(msgspec.Struct, frozen=True, kw_only=True):
    """What is delivered once more.

    Args:
        letters, lines: how many dead letters, and lines in them.
        more: there were more dead letters than fit at once: ask again.
        from: from when on lines are delivered.
        note: what else there is to know.
    """

    letters: int = 0
    lines: int = 0
    more: bool = False
    from_: str | None = msgspec.field(name="from", default=None)
    note: str = ""


class ResetBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The token of a link, and the new password: 10 to 128 characters."""

    token: Secret
    password: Secret


class RestoreBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which script is to come back.

    Args:
        version: of this one; left out, the one that every project begins with.
    """

    version: int | None = None


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Send only a part of the lines: the same ones at every attempt.

    Args:
        share: from 0 (none) to 1 (all).
        always: lines as severe as this, or more, are all sent.
    """

    share: float
    always: str | None = None


class ScriptBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The script that is to be run in a moment.

    Args:
        body: A program of its own where it begins with `#!`, else for `/bin/sh`. Exit code
            0 lets it go on, 21 asks to be tried again later, any other one stops it.
        timeout: Seconds for all that it starts.
    """

    body: str
    timeout: float = 300.0


class ScriptResultView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a script in its moment on a device.

    Args:
        version: of the script that it ran.
        status: `done` (exit code 0), `later` (21: it was tried again), `failed` (any
            other); `timeout`; `refused`, when it could not be started; `interrupted`, when
            the agent ended meanwhile.
        code: exit code; negative for a signal.
        output: what it wrote, its beginning and its end.
        started_at: by the device's clock; received_at: by the hub's.
    """

    moment: str
    version: int
    status: str
    code: int | None
    output: str
    error: str
    seconds: float
    started_at: datetime
    received_at: datetime


class ScriptStatusView(msgspec.Struct, frozen=True, kw_only=True):
    """How far a device is with its project's scripts.

    Args:
        version: that it is to have; applied: that it has, as it says; 0 before the first.
        error: why it could not take up the newest, or why its app waits, in its words.
    """

    device: str
    online: bool
    version: int
    applied: int
    error: str
    reported_at: datetime | None


class ScriptView(msgspec.Struct, frozen=True, kw_only=True):
    """A script of a project in one of its versions.

    Args:
        moment: `pre-install`, before the app is first started on a device; `pre-update` and
            `post-update`, before and after each update of it.
        version: counts the changes of this script.
        changed_by: a person, or a token; null for the hub itself.
    """

    moment: str
    version: int
    body: str
    timeout: float
    changed_by: str | None
    changed_at: datetime


class SecondFactorView(msgspec.Struct, frozen=True, kw_only=True):
    """The password was right, and a second factor is to be shown at `/sessions/second-factor`.

    Args:
        challenge: goes with the answer; it is good once, for five minutes.
        kinds: that will do.
        passkey_options: for `PublicKeyCredential.parseRequestOptionsFromJSON`; null where
            one has no passkey.
    """

    challenge: str
    kinds: list[str]
    passkey_options: dict[str, Any] | None
    expires_at: datetime


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session as the API shows it.

    Args:
        address, agent: where it was begun from.
        seen_at: when it was last used, exact to a minute.
        ends_at: when it ends at the latest.
        current: it is the one that asks.
        csrf_token: of the current one: what a page sends as `X-CSRF-Token` with each
            change.
    """

    id: str
    address: str
    agent: str
    created_at: datetime
    seen_at: datetime
    ends_at: datetime
    current: bool
    csrf_token: str | None = None


class SignUpBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who signs up.

    Args:
        password: 10 to 128 characters, and none of the most common ones.
        locale: of mails and pages.
    """

    email: str
    password: Secret
    name: str
    locale: Literal["en", "ja"] = "en"


class StayBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The token of the link: the last part of its path."""

    token: Secret


class TestBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line to send.

    Args:
        message: Of the test line; there is one by default.
    """

    message: str = ""


class TestResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Args:
        outcome: `taken`, `written` (to a destination that never answers), `rejected`,
            `failed`.
        reason: in words a user understands; "" when it was taken.
        seconds: that it took.
        status, answer: of the last HTTP answer, if there was one; its first 200 characters.
    """

    outcome: str
    reason: str = ""
    seconds: float = 0.0
    status: int | None = None
    answer: str = ""


class TokenBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The token of a link: the last part of its path."""

    token: Secret


class TransferBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """To whom an owner hands the account over.

    Args:
        to: id of the member.
        password: of the owner.
        role: that the owner has afterwards.
    """

    to: str
    password: Secret
    role: Literal["admin", "billing", "developer", "viewer"] = "admin"


class TransferLinkBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The token of the link: the last part of its path."""

    token: Secret


class UndoBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The token of the link: the last part of its path."""

    token: Secret


class UndoneView(msgspec.Struct, frozen=True, kw_only=True):
    """The account that goes on."""

    account: str
    name: str


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """A person as the API shows them to themselves."""

    id: str
    email: str
    name: str
    locale: str
    created_at: datetime
    updated_at: datetime


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """An account as the API shows it.

    Args:
        require_second_factor: a member without one can do nothing in it but add one.
        role: of whoever asks.
    """

    id: str
    name: str
    require_second_factor: bool
    role: Role
    created_at: datetime
    updated_at: datetime


class InvitationBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whom a client invites, to be what, and in which language."""

    email: str
    role: Role = "developer"
    locale: Literal["en", "ja"] = "en"


class InvitationView(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation as the API shows it; the link is in the mail alone."""

    id: str
    email: str
    role: Role
    locale: str
    invited_by: str
    state: str
    created_at: datetime
    sent_at: datetime
    expires_at: datetime


class InvitedView(msgspec.Struct, frozen=True, kw_only=True):
    """What an invitation is to.

    Args:
        known: somebody has the address already; a newcomer gives a name and a password.
    """

    account: str
    name: str
    inviter: str
    email: str
    role: Role
    known: bool


class JoinedView(msgspec.Struct, frozen=True, kw_only=True):
    """The account that one is in now, and as what; `new`: one came to be by it."""

    account: str
    name: str
    role: Role
    user: str
    new: bool


class MemberBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client sets of a member."""

    role: Role


class MemberView(msgspec.Struct, frozen=True, kw_only=True):
    """A member as the API shows it."""

    user: str
    name: str
    email: str
    role: Role
    joined_at: datetime


class ProjectMemberView(msgspec.Struct, frozen=True, kw_only=True):
    """A member, seen from a project.

    Args:
        role: in this project.
        account_role: in the account; never narrower than `role`.
        narrowed: the role was made a narrower one for this project.
    """

    user: str
    name: str
    email: str
    role: Role
    account_role: Role
    narrowed: bool


class TransferView(msgspec.Struct, frozen=True, kw_only=True):
    """An offer that waits for its receiver."""

    giver: str
    receiver: str
    role: Role
    created_at: datetime
    expires_at: datetime


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done, or tried, in an account.

    Args:
        seq: its number in the account's log: the order in which outcomes became known.
        at: when it was begun.
        action: `PATCH /api/v1/projects/{project}`, `device.registered`, …
        object: what it was done to, by what the ids name.
        address, agent: where it came from; null when it came from nowhere, or was erased.
        outcome: `done`; `refused`: not allowed; `failed`: nothing was done; `unknown`: the
            hub ended, or gave up waiting, before it knew.
        status, code: of the answer, and of its problem.
        replayed: the first answer was given again (`Idempotency-Key`); nothing was done.
        count: so many of the kind, of which the others have no entry.
        follows: id of the entry that did not know the outcome yet.
        before, after: what it was done to, as the API shows it.
        changed: what differs, as JSON pointers.
        erased: where it came from, or what was before and after, was erased since.
        hash, previous: its own and the one before, in the chain.
    """

    seq: int
    id: str
    at: datetime
    action: str
    summary: str
    project: str | None
    object: dict[str, str]
    actor: Actor
    address: str | None
    agent: str | None
    outcome: str
    status: int | None
    code: str | None
    request: str | None
    trace: str | None
    replayed: bool
    count: int
    follows: str | None
    before: Any
    after: Any
    changed: list[str]
    notes: list[str]
    erased: bool
    hash: str
    previous: str


class AppView(msgspec.Struct, frozen=True, kw_only=True):
    """How a device's app fares, as the device said last.

    Args:
        state: that of the program which one would look at first; "" when there is none.
        revision: of the app, as its developers call it; "" when it has none.
        reported_at: when the device said so.
    """

    state: str
    revision: str
    programs: list[ProgramView]
    reported_at: datetime


class Assertion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`AuthenticationResponseJSON`: what `credential.toJSON()` of one that was asked for
    gives.
    """

    id: str
    raw_id: str = msgspec.field(name="rawId")
    type: Literal["public-key"]
    response: AssertionResponse


class NewCredential(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`RegistrationResponseJSON`: what `credential.toJSON()` of a new passkey gives."""

    id: str
    raw_id: str = msgspec.field(name="rawId")
    type: Literal["public-key"]
    response: Attestation


class CommandBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that is to be done once: on a device, on those of a group, or on all.

    Args:
        timeout: seconds that it may take on each device, 60 by default; of a reboot, those
            in which the device has to be back, 600 by default.
        wait: seconds in which it has to begin on each; who comes later does not do it.
        device: id of the only one.
        group: of those that do it.
        all: of the project do it.
    """

    action: CommandAction
    timeout: float | None = None
    wait: float = 3600.0
    device: str | None = None
    group: str | None = None
    all: bool = False


class CommandView(msgspec.Struct, frozen=True, kw_only=True):
    """A command.

    Args:
        device, group: that was named; with neither, all of the project were.
        deadline: until when it has to begin on each device.
        counts: how many devices are in which state.
    """

    id: str
    project: str
    action: CommandAction
    timeout: float
    device: str | None
    group: str | None
    created_at: datetime
    deadline: datetime
    counts: dict[str, int]


class DeviceCommandBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that is to be done once on a device.

    Args:
        timeout: seconds that it may take, 60 by default; of a reboot, those in which the
            device has to be back, 600 by default.
        wait: seconds in which it has to begin.
    """

    action: CommandAction
    timeout: float | None = None
    wait: float = 3600.0


class DeviceCommandView(msgspec.Struct, frozen=True, kw_only=True):
    """A command of a device, and what became of it there.

    Args:
        command: its id.
        deadline: until when it has to begin.
        status: `waiting` to begin, `running`; `done` (exit code 0), `later` (21: it asks to
            be tried again), `failed` (any other); `timeout`; `refused` by the agent;
            `interrupted`, when the agent ended meanwhile; `expired`, when it did not begin
            in time; `lost`, when it began and its end was not heard of; `cancelled` before
            it began.
        output: what it wrote, its beginning and its end.
        error: why it was refused, interrupted or cancelled, or what failed.
    """

    command: str
    action: CommandAction
    timeout: float
    created_at: datetime
    deadline: datetime
    status: str
    code: int | None
    output: str
    error: str
    seconds: float | None
    started_at: datetime | None
    ended_at: datetime | None


class DataUsageView(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent from one day to another, both within (UTC).

    Args:
        total: of these days; `this_month`: of the present month so far.
        days: those on which anything was sent.
    """

    from_: str = msgspec.field(name="from")
    to: str
    total: DataCount
    this_month: DataCount
    days: list[DataDay]


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """What could not be delivered (or taken), and why.

    Args:
        id: its place among the dead letters; they are in order.
        source: id of the integration, or `intake`.
        device, stream: where it comes from; "" when that could not be read.
        at: when it became one; `received` when the hub took it (RFC 3339).
        count: lines or samples in it.
        lines: of it; empty when they cannot be decoded, or in a list. Of a very large one
            only the first, which is when there are fewer than `count`.
        raw: base64 of the payload, when it cannot be decoded.
    """

    id: str
    source: str
    reason: str
    device: str
    host: str
    stream: str
    at: str
    received: str
    count: int
    lines: list[DeadLine] = []
    raw: str = ""


class DepartureView(msgspec.Struct, frozen=True, kw_only=True):
    """What goes with a person.

    Args:
        state: `none`, nobody asked for it; `waiting`, it can be undone until `due_at`;
            `erasing`, it cannot any more.
        accounts: those that you are the last owner of.
    """

    state: str
    accounts: list[OwnedView]
    requested_at: datetime | None
    due_at: datetime | None


class DeviceChanges(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Changes of many devices."""

    changes: list[DeviceChange]


class DeviceEnvarsView(msgspec.Struct, frozen=True, kw_only=True):
    """What a device gets, by name, and how far it is.

    Args:
        version: of the whole; it counts changes of what this device gets.
        applied: the version that the device uses, as it says; 0 before the first.
        error: why it could not take up the newest, in its words.
    """

    variables: dict[str, DeviceEnvarView]
    version: int
    applied: int
    error: str


class EnvarsBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Variables by name: letters, digits and `_`, at most 128, no digit first."""

    variables: dict[str, EnvarBody]


class EnvarsView(msgspec.Struct, frozen=True, kw_only=True):
    """What is set at one level, by name."""

    variables: dict[str, EnvarView]


class ItemProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why one thing was not changed; the members are those of a problem (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: list[FieldError] = []


class Filter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which lines go there.

    Args:
        include: those that match any of these; empty for all.
        exclude: but none that matches any of these.
    """

    include: list[Match] = []
    exclude: list[Match] = []


class IntegrationHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How one integration fares; no status while the relay does not answer."""

    id: str
    type: str
    name: str
    status: IntegrationStatus | None


class LimitsView(msgspec.Struct, frozen=True, kw_only=True):
    """What a project may send; each holds for log lines and, apart from them, for samples.

    Args:
        lines_per_second, bytes_per_second, lines_per_day: null is what holds for every
            project of this hub, 0 is no limit.
    """

    lines_per_second: float | None
    bytes_per_second: float | None
    lines_per_day: int | None
    today: UsageView


class ShapedLine(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one stored line.

    Args:
        outcome: `sent`, or the step that leaves it out (`filter`, `sample`, `rate_limit`),
            or `joined` to the line before it.
        after: as it would be sent; None when it is left out.
    """

    line: LogLine
    outcome: str
    after: LogLine | None = None


class TailLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a tail; `position` resumes after it; `missed` lines were skipped before it."""

    position: str
    line: LogLine
    missed: int = 0


class MetricView(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of a project, over all of its devices; see `MetricsQuery` for its points.

    Args:
        devices, series: how many have it.
        step: seconds between the points; 0 when no `name` was given, and so no points.
        points: of all series together: of a counter, by how much all of them grew each
            second.
    """

    type: str
    name: str
    counter: bool
    devices: int
    series: int
    step: int
    points: list[MetricPoint]


class SeriesView(msgspec.Struct, frozen=True, kw_only=True):
    """One series of a device; see `MetricsQuery` for its points.

    Args:
        last, last_at: its newest sample, if there is one of the last day.
        step: seconds between the points; 0 when no `name` was given, and so no points.
    """

    type: str
    name: str
    labels: dict[str, str]
    counter: bool
    last: float | None
    last_at: datetime | None
    step: int
    points: list[MetricPoint]


class Redact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Hide what should not leave the hub.

    Args:
        tokens: keys and tokens of well-known services, JSON web tokens, passwords in URLs,
            and whatever follows `password=`, `token:` and the like.
        cards: numbers of payment cards (13 to 19 digits with a valid check digit).
        emails: e-mail addresses.
        patterns: your own.
    """

    tokens: bool = False
    cards: bool = False
    emails: bool = False
    patterns: list[RedactPattern] = []


class ScriptsView(msgspec.Struct, frozen=True, kw_only=True):
    """The scripts of a project, by moment.

    Args:
        version: counts the changes of any of them; devices say which they have.
    """

    version: int
    scripts: dict[str, ScriptView]


class DeviceView(msgspec.Struct, frozen=True, kw_only=True):
    """A device as the API shows it.

    Args:
        label: its host name in logs; "" stands for the id.
        group: what an integration's filter, or a release, may ask for.
        tags: whatever it is sorted by, in the order of the alphabet.
        addresses: IP addresses that it told when its last session was opened.
        status: `waiting` until somebody approves it, `pending` until its first session;
            `quarantined` when a copy of it was seen.
        online: it has a session now.
        agent, system: the versions that it told last.
        last_seen_at: when its last session was opened, or ended; null before the first.
        app: null before the device has told of it.
    """

    id: str
    project: str
    label: str
    group: str
    tags: list[str]
    addresses: list[str]
    status: str
    online: bool
    agent: str
    system: str
    registered_at: datetime
    last_seen_at: datetime | None
    app: AppView | None


class EntryBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A passkey in answer to a challenge; `cookie` as at any login."""

    challenge: Secret
    passkey: Assertion
    cookie: bool = False


class FactorBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A second factor, in answer to a challenge: one of `totp`, `recovery_code` and `passkey`.

    Args:
        challenge: as it was given.
        cookie: keep the session in a cookie that scripts cannot read, and leave out its
            token.
    """

    challenge: Secret
    totp: Secret | None = None
    recovery_code: Secret | None = None
    passkey: Assertion | None = None
    cookie: bool = False


class ProofBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The password, or a second factor: one of `password`, `totp`, `recovery_code`, `passkey`.

    Args:
        challenge: that the passkey answers.
    """

    password: Secret | None = None
    totp: Secret | None = None
    recovery_code: Secret | None = None
    passkey: Assertion | None = None
    challenge: Secret | None = None


class NewPasskeyBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A new passkey: what the browser made of the options, and what it is to be called."""

    challenge: Secret
    name: str
    credential: NewCredential


class ApprovedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one device.

    Args:
        status: 200, or that of the problem.
        problem: why it was not approved.
    """

    device: str
    status: int
    problem: ItemProblem | None = None


class ChangedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one device.

    Args:
        status: that a request for this device alone would have had.
        etag: that the device has now.
        problem: why it was not changed.
    """

    device: str
    status: int
    etag: str | None = None
    problem: ItemProblem | None = None


class ProjectHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How a project's integrations fare.

    Args:
        states: how many integrations there are, by state.
        lag_lines, lag_seconds: of the one that is furthest behind.
        gap_lines: lines (at most) that were lost before they were delivered.
        dead_letters: of all integrations; `refused` those of the intake: what devices sent
            and nobody can read.
        lost_letters, refused_lost: of these (at most), that age, or want of room, took.
    """

    integrations: list[IntegrationHealth]
    states: dict[str, int]
    lag_lines: int
    lag_seconds: float
    gap_lines: int
    dead_letters: int
    lost_letters: int
    refused: int
    refused_lost: int


class Shape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an integration does to lines, in this order: join, filter, …, template.

    Args:
        join: put the lines of a stack trace together.
        filter: which lines go there.
        sample: send only a part of them.
        rate_limit: send at most so many.
        redact: hide tokens, card numbers, addresses.
        rename: call programs, hosts, metrics otherwise.
        labels: add these to every line and sample, wherever the destination's format has a
            place.
        template: what text formats send instead of the message: jinja2 in a sandbox,
            without loops, with `message`, `program`, `host`, `device`, `stream`,
            `severity`, `facility`, `time`, `id` and `labels`.
    """

    join: Join | None = None
    filter: Filter = Filter()
    sample: Sample | None = None
    rate_limit: RateLimit | None = None
    redact: Redact = Redact()
    rename: Rename = Rename()
    labels: dict[str, str] = {}
    template: str = ""


class DryRunBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A shape to try; without one, the integration's own."""

    shape: Shape | None = None
    limit: int = 100


class IntegrationBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A new integration.

    Args:
        config: As `config_schema` of its integration type says.
        enabled: false pauses it: lines wait for it, as long as they are kept.
    """

    type: str
    name: str
    config: dict[str, Any]
    enabled: bool = True
    shape: Shape = Shape()


class IntegrationChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What can be changed; where `config` itself changes, its secrets are to be given again.

    Args:
        config: As `config_schema` of its integration type says.
        enabled: false pauses it: lines wait for it, as long as they are kept.
    """

    name: str
    config: dict[str, Any]
    enabled: bool = True
    shape: Shape = Shape()


class IntegrationView(msgspec.Struct, frozen=True, kw_only=True):
    """An integration as the API shows it: secrets masked, and how it fares."""

    id: str
    project: str
    type: str
    name: str
    enabled: bool
    config: dict[str, Any]
    shape: Shape
    created_at: datetime
    updated_at: datetime
    status: IntegrationStatus | None = None


class TestConfigBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A new integration as it would be made; only `type` and `config` are used.

    Args:
        message: Of the test line; there is one by default.
    """

    type: str
    config: dict[str, Any]
    name: str = ""
    enabled: bool = True
    shape: Shape = Shape()
    message: str = ""
