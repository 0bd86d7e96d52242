"""From a batch to the one mail that tells of it."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from typing import Final

from hub import SEVERITIES, Batch, Line, Watch, one_line, printable, rfc3339
from plugins.email.config import EmailConfig

_SUBJECT: Final = 150  # characters; RFC 5322, 2.1.1 has lines of 998, people have small screens
_LONGEST: Final = 2_000  # characters that are shown of one line


@dataclass(frozen=True, slots=True)
class Found:
    """A line that a rule matched, and where it stands in the batch."""

    index: int
    rule: str
    line: Line


@dataclass(frozen=True, slots=True)
class Digest:
    """What is worth a mail in one batch."""

    batch: str
    found: Sequence[Found]

    @property
    def headline(self) -> str:
        """`12 lines match "disk full" on 3 devices`."""
        rules = list(dict.fromkeys(f'"{one.rule}"' for one in self.found))
        named = ", ".join(rules[:3]) + (f" and {len(rules) - 3} more" if len(rules) > 3 else "")
        devices = len({one.line.device for one in self.found})
        match = "lines match" if len(self.found) > 1 else "line matches"
        where = "devices" if devices > 1 else "device"
        return f"{len(self.found)} {match} {named} on {devices} {where}"


def digest_of(batch: Batch, watch: Watch) -> Digest:
    """Give the lines that are worth a mail, in their order."""
    found = [
        Found(index, finding.rule.name, line)
        for finding in watch.findings(batch)
        for part in finding.parts
        for index, line in zip(part.at, Batch("", (part.chunk,)), strict=True)
    ]
    return Digest(batch.id, sorted(found, key=lambda one: one.index))


def compose(digest: Digest, config: EmailConfig, *, integration: str, now: float) -> EmailMessage:
    """Write the mail.

    Args:
        now: Unix seconds, for its date.
    """
    mail = EmailMessage(SMTP)
    mail["From"] = config.sender
    mail["To"] = ", ".join(config.to)
    mail["Subject"] = one_line(f"[isaax] {digest.headline}", _SUBJECT)
    mail["Date"] = format_datetime(datetime.fromtimestamp(now, UTC))
    mail["Message-ID"] = _message_id(digest.batch, integration, config.sender)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834, 5: no out-of-office answers
    mail["X-Isaax-Integration"] = integration
    mail.set_content(_text(digest, config.max_shown), cte="quoted-printable")
    mail.add_alternative(_html(digest, config.max_shown), subtype="html", cte="quoted-printable")
    return mail


def _message_id(batch: str, integration: str, sender: str) -> str:
    """Make an id that is the same when the same batch is mailed again (RFC 5322, 3.6.4)."""
    digest = hashlib.sha256(f"{integration}\n{batch}".encode()).hexdigest()[:32]
    return f"<{digest}@{sender.rpartition('@')[2]}>"


def _cut(message: str) -> str:
    if len(message) <= _LONGEST:
        return printable(message)
    return f"{printable(message[:_LONGEST])}… [cut: {len(message)} characters]"


def _rows(digest: Digest, most: int) -> Iterator[tuple[str, str, str, str, str, str]]:
    for one in digest.found[:most]:
        line = one.line
        yield (
            f"{rfc3339(line.time)[:19]}Z",
            one_line(line.host, 100),
            SEVERITIES[line.priority & 7],
            one_line(line.program, 100),
            one_line(one.rule, 100),
            _cut(line.message),
        )


def _more(digest: Digest, most: int) -> str:
    left = len(digest.found) - most
    return f"… and {left} more" if left > 0 else ""


def _text(digest: Digest, most: int) -> str:
    lines = [f"{one_line(digest.headline, 1_000)}.", ""]
    for time, host, severity, program, rule, message in _rows(digest, most):
        lines.append(f"{time} {host} {severity} {program} [{rule}]")
        lines += [f"    {part}" for part in message.split("\n")]
    lines += ["", _more(digest, most)] if _more(digest, most) else []
    return "\n".join([*lines, ""])


_STYLE: Final = "font:13px monospace;border-collapse:collapse"
_CELL: Final = "padding:2px 8px;vertical-align:top;white-space:pre-wrap;border-top:1px solid #ddd"


def _html(digest: Digest, most: int) -> str:
    head = "".join(
        f'<th align="left" style="{_CELL}">{name}</th>'
        for name in ("Time", "Host", "Severity", "Program", "Rule", "Message")
    )
    body = "\n".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in row) + "</tr>"
        for row in _rows(digest, most)
    )
    return (
        f"<!doctype html>\n<html><body>\n<p>{escape(one_line(digest.headline, 1_000))}.</p>\n"
        f'<table style="{_STYLE}">\n<tr>{head}</tr>\n{body}\n</table>\n'
        f"<p>{escape(_more(digest, most))}</p>\n</body></html>\n"
    )
