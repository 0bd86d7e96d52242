"""The shape of an integration, as a user configures it. Everything is optional."""

from typing import Annotated, Literal

import msgspec

SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
"""RFC 5424, 6.2.1, table 2, by their usual keywords: the index is the number."""

FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", *(f"local{n}" for n in range(8)),
)  # fmt: skip
"""RFC 5424, 6.2.1, table 1, by their usual keywords: the index is the number."""

Severity = Literal["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]
StreamName = Annotated[
    str,
    msgspec.Meta(pattern=r"^(app|sys|agent|metric\.(device|cpu|memory|disk|network|ps))$(?!\n)"),
]
Names = Annotated[tuple[str, ...], msgspec.Meta(max_length=1_000)]
Regex = Annotated[str, msgspec.Meta(max_length=1_000)]
LabelName = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,99}$(?!\n)")]
LabelText = Annotated[str, msgspec.Meta(max_length=1_000)]
Text = Annotated[str, msgspec.Meta(max_length=1_000)]


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Conditions on a line; it matches when all that are given hold.

    Args:
        streams: any of `app`, `sys`, `agent`, `metric.cpu`, …
        devices: any of these, by id.
        groups: any of these, by name.
        severity: this one or a more severe one (`err` also matches `crit`).
        programs: any of these, by name.
        text: part of the message, as it is written.
        regex: found somewhere in the message (RE2 syntax: no backtracking, so no bad pattern
            can hold up the hub).
    """

    streams: tuple[StreamName, ...] = ()
    devices: Names = ()
    groups: Names = ()
    severity: Severity | None = None
    programs: Names = ()
    text: Text = ""
    regex: Regex = ""


class Filter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which lines go there.

    Args:
        include: those that match any of these; empty for all.
        exclude: but none that matches any of these.
    """

    include: Annotated[tuple[Match, ...], msgspec.Meta(max_length=50)] = ()
    exclude: Annotated[tuple[Match, ...], msgspec.Meta(max_length=50)] = ()


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Send only a part of the lines: the same ones at every attempt.

    Args:
        share: from 0 (none) to 1 (all).
        always: lines as severe as this, or more, are all sent.
    """

    share: Annotated[float, msgspec.Meta(ge=0, le=1)]
    always: Severity | None = None


class RateLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Send at most so many lines.

    Args:
        lines_per_second: on average.
        burst: lines at once, after a pause; by default those of one second.
        over: `wait` delivers what is too much later, `drop` leaves it out and counts it.
    """

    lines_per_second: Annotated[float, msgspec.Meta(gt=0, le=10_000_000)]
    burst: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 0
    over: Literal["wait", "drop"] = "wait"


class RedactPattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something else to hide.

    Args:
        regex: RE2 syntax; all of it that matches is replaced.
        replacement: by this.
    """

    regex: Regex
    replacement: Annotated[str, msgspec.Meta(max_length=200)] = "[redacted]"


class Redact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hide what should not leave the hub.

    Args:
        tokens: keys and tokens of well-known services, JSON web tokens, passwords in URLs, and
            whatever follows `password=`, `token:` and the like.
        cards: numbers of payment cards (13 to 19 digits with a valid check digit).
        emails: e-mail addresses.
        patterns: your own.
    """

    tokens: bool = False
    cards: bool = False
    emails: bool = False
    patterns: Annotated[tuple[RedactPattern, ...], msgspec.Meta(max_length=50)] = ()


class Rename(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Call things otherwise there.

    Args:
        programs, hosts, metrics: new name by old one.
    """

    programs: Annotated[dict[str, Text], msgspec.Meta(max_length=1_000)] = {}
    hosts: Annotated[dict[str, Text], msgspec.Meta(max_length=1_000)] = {}
    metrics: Annotated[dict[str, Text], msgspec.Meta(max_length=1_000)] = {}


class Join(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Put lines that belong together into one, such as those of a stack trace.

    Args:
        continues: RE2; a line in which it is found continues the one before it. By default one
            that is indented, or begins as continued stack traces of common languages do.
        starts: RE2, instead: every line in which it is *not* found continues the one before.
        max_lines, max_bytes: of a joined line; what is more begins another.
        wait: seconds that the last line of a device's stream waits for what may continue it.
    """

    continues: Regex = ""
    starts: Regex = ""
    max_lines: Annotated[int, msgspec.Meta(ge=2, le=1_000)] = 200
    max_bytes: Annotated[int, msgspec.Meta(ge=100, le=65_536)] = 32_768
    wait: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 1.0

    def __post_init__(self) -> None:
        if self.continues and self.starts:
            raise ValueError("give continues or starts, not both")


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an integration does to lines, in this order: join, filter, …, template.

    Args:
        join: put the lines of a stack trace together.
        filter: which lines go there.
        sample: send only a part of them.
        rate_limit: send at most so many.
        redact: hide tokens, card numbers, addresses.
        rename: call programs, hosts, metrics otherwise.
        labels: add these to every line and sample, wherever the destination's format has a place.
        template: what text formats send instead of the message: jinja2 in a sandbox, without
            loops, with `message`, `program`, `host`, `device`, `stream`, `severity`,
            `facility`, `time`, `id` and `labels`.
    """

    join: Join | None = None
    filter: Filter = Filter()
    sample: Sample | None = None
    rate_limit: RateLimit | None = None
    redact: Redact = Redact()
    rename: Rename = Rename()
    labels: Annotated[dict[LabelName, LabelText], msgspec.Meta(max_length=50)] = {}
    template: Annotated[str, msgspec.Meta(max_length=4_096)] = ""
