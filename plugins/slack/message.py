"""A message that Slack, Mattermost and Rocket.Chat can show.

Limits: https://docs.slack.dev/reference/block-kit/blocks/section-block (3,000 characters) and
https://docs.slack.dev/reference/block-kit/blocks (50 blocks a message). Escaping:
https://docs.slack.dev/messaging/formatting-message-text
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from hub import SEVERITIES, Finding, Line, rfc3339

SHOWN: Final = 5
"""Examples from the beginning, and as many from the end."""

MAX_SECTION: Final = 3_000
MAX_TEXT: Final = 12_000
"""Characters of the text: Mattermost takes 16,383 (`MaxPostSize`), Slack 40,000."""

_MAX_EXAMPLE: Final = 280
"""Characters of one line that is shown, once escaped: ten of them fit into a section."""

_MAX_HOSTS: Final = 10
_MAX_NAME: Final = 80
_INVISIBLE: Final = "\u200b"
_ESCAPES: Final = str.maketrans({
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "@": f"@{_INVISIBLE}",  # Mattermost and Rocket.Chat see mentions in plain text
    "`": f"`{_INVISIBLE}",  # three of them would end a code block
})  # fmt: skip


class Text(msgspec.Struct, frozen=True):
    """A text object."""

    text: str
    type: Literal["mrkdwn"] = "mrkdwn"
    verbatim: bool = True


class Section(msgspec.Struct, frozen=True):
    """A section block."""

    text: Text
    type: Literal["section"] = "section"


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a webhook takes; beside blocks, Slack shows the text in notifications alone."""

    text: str
    blocks: list[Section] = []


def compose(findings: Sequence[Finding], *, blocks: bool) -> Message:
    """Tell what was found: for each rule how much and where, and the first and last of it.

    Args:
        blocks: as Slack's blocks; otherwise as text, which others understand too.
    """
    heads = [_head(finding) for finding in findings]
    parts = [
        part
        for head, found in zip(heads, findings, strict=True)
        for part in (head, _examples(found))
    ]
    if blocks:
        return Message(_fitting(heads), [Section(Text(part)) for part in parts])
    text = "\n".join(parts)
    return Message(text if len(text) <= MAX_TEXT else _fitting(heads))


def _fitting(heads: Sequence[str]) -> str:
    """Give as many heads as a text may hold, each whole."""
    room = MAX_TEXT
    for number, head in enumerate(heads):
        room -= len(head) + 1
        if room < 2:
            return "\n".join([*heads[:number], "…"])
    return "\n".join(heads)


def escaped(text: str, room: int) -> str:
    """Give a text on one line that means nothing to Slack, in at most `room` characters."""
    line = " ⏎ ".join(text.splitlines())
    shown = line.translate(_ESCAPES)
    while len(shown) > room:
        line = line[: min(len(line) * room // len(shown), len(line) - 1)]
        shown = line.translate(_ESCAPES) + "…"
    return shown


def _head(finding: Finding) -> str:
    lines = "1 line" if finding.count == 1 else f"{finding.count:,} lines"
    most = sorted(finding.hosts.items(), key=lambda pair: (-pair[1], pair[0]))
    hosts = ", ".join(
        f"{escaped(host, _MAX_NAME)} ({count:,})" for host, count in most[:_MAX_HOSTS]
    )
    more = f" and {len(most) - _MAX_HOSTS:,} more" if len(most) > _MAX_HOSTS else ""
    return f"*{escaped(finding.rule.name, 2 * _MAX_NAME)}*: {lines} from {hosts}{more}"


def _examples(finding: Finding) -> str:
    first = finding.first(SHOWN)
    last = finding.last(min(SHOWN, finding.count - len(first)))
    left_out = finding.count - len(first) - len(last)
    between = [f"… {left_out:,} more …"] if left_out else []
    rows = [*map(_row, first), *between, *map(_row, last)]
    return "```\n" + "\n".join(rows) + "\n```"


def _row(line: Line) -> str:
    moment = rfc3339(line.time)[:19].replace("T", " ")
    text = f"{line.host} {line.program} {SEVERITIES[line.priority & 7]}: {line.message}"
    return f"{moment}Z {escaped(text, _MAX_EXAMPLE - 25)}"
