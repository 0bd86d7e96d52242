"""Syslog messages taken apart: RFC 5424, RFC 3164, and whatever else calls itself syslog.

Nothing is refused (RFC 3164, 4.3.3): what cannot be recognised stays in the text.
"""

import calendar
import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

import msgspec

USER_NOTICE: Final = 13
"""RFC 3164, 4.3.3: the priority of what has none."""

OWN_ELEMENT: Final = "isaax@32473"
"""Structured data that names another project: `[isaax@32473 token="…"]`."""

MAX_MESSAGE: Final = 64 * 1024
"""Bytes of a message; what is longer is cut, and says so."""

_LONGEST_PROGRAM: Final = 128
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MONTHS: Final = {name: number for number, name in enumerate(calendar.month_abbr) if name}

_PRI: Final = re.compile(r"<(\d{1,3})>")
# RFC 5424, 6: VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID, and then structured data.
_MODERN: Final = re.compile(r"1 (\S{1,64}) (\S{1,1024}) (\S{1,256}) \S{1,256} \S{1,256} (?=[-\[])")
_ELEMENT: Final = re.compile(
    r'\[([^\s=\]"]{1,128})((?: +[^\s=\]"]{1,128}="(?:[^"\\\]]|\\.)*")*) *\]', re.DOTALL
)
_PARAM: Final = re.compile(r' +([^\s=\]"]+)="((?:[^"\\\]]|\\.)*)"', re.DOTALL)
_ESCAPED: Final = re.compile(r'\\(["\\\]])')
# RFC 3164, 4.1.2: Mmm dd hh:mm:ss; with a year, or parts of a second, where senders add them.
_LEGACY_TIME: Final = re.compile(
    r"([A-Z][a-z]{2}) ([ \d]\d|\d) (?:(\d{4}) )?(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?:? "
)
_ISO_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S{0,32}) ")
_RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.IGNORECASE
)
_HOST: Final = re.compile(r"([A-Za-z0-9._:%/-]{1,255}) (?=\S)")
# Ends by a colon, with the process in brackets before it at most.
_TAG: Final = re.compile(r"([^\s:\[\]<>\"']{1,128})(?:\[[^\]\s]{0,128}\])?:(?: |$)")


class Message(msgspec.Struct, frozen=True, gc=False):
    """One syslog message.

    Args:
        time: microseconds since the Unix epoch.
        priority: RFC 5424 PRI: facility * 8 + severity.
        host: "" when it does not say.
        program: `-` when it does not say.
        token: of the project that it is for; None when it does not say.
    """

    time: int
    priority: int
    host: str
    program: str
    text: str
    token: str | None = None


def parse(data: bytes, *, now: int, zone: tzinfo = UTC, size: int | None = None) -> Message:
    """Take a message apart; it never fails.

    Args:
        now: microseconds since the Unix epoch: the time of a message that has none.
        zone: that RFC 3164's times are in.
        size: bytes that the message had, where it came with fewer.
    """
    text = _text(data, len(data) if size is None else size)
    head = _PRI.match(text)
    if head is None or int(head[1]) > 191:  # RFC 5424, 6.2.1
        return Message(now, USER_NOTICE, "", "-", text)
    priority = int(head[1])
    rest = text[head.end() :]
    modern = _MODERN.match(rest)
    if modern is not None:
        return _modern(modern, rest[modern.end() :], priority, now)
    return _legacy(rest, priority, now, zone)


def _text(data: bytes, size: int) -> str:
    kept = data[:MAX_MESSAGE]
    text = kept.decode("utf-8", "replace" if len(kept) == size else "ignore")
    if len(kept) < size:
        return f"{text}… [cut: {size} bytes]"
    return text.rstrip("\0\r\n")


# ── RFC 5424 ──────────────────────────────────────────────────────────────────────────────────


def _modern(head: re.Match[str], rest: str, priority: int, now: int) -> Message:
    stamp, host, program = head.groups()
    data, token, text = _structured(rest)
    text = text.removeprefix(" ").removeprefix("\ufeff")
    return Message(
        _rfc3339(stamp, now),
        priority,
        "" if host == "-" else host,
        program[:_LONGEST_PROGRAM],
        f"{data} {text}" if data and text else data or text,
        token,
    )


def _structured(rest: str) -> tuple[str, str | None, str]:
    """Give the structured data without our own element, the token in that, and the message.

    What is not structured data as RFC 5424, 6.3 has it belongs to the message.
    """
    if rest.startswith("-"):
        return "", None, rest[1:]
    kept: list[str] = []
    token: str | None = None
    at = 0
    while element := _ELEMENT.match(rest, at):
        at = element.end()
        if element[1] == OWN_ELEMENT:
            token = _param(element[2], "token") or token
        else:
            kept.append(element[0])
    return "".join(kept), token, rest[at:]


def _param(params: str, name: str) -> str | None:
    for param in _PARAM.finditer(params):
        if param[1] == name:
            return _ESCAPED.sub(r"\1", param[2])
    return None


def _rfc3339(stamp: str, now: int) -> int:
    found = _RFC3339.fullmatch(stamp)
    if found is None:
        return now
    seconds, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(seconds + ("+00:00" if zone in {"Z", "z"} else zone))
    except ValueError:  # the 31st of June, or a leap second
        return now
    return _microseconds(moment, fraction)


def _microseconds(moment: datetime, fraction: str | None) -> int:
    micros = int(fraction[:6].ljust(6, "0")) if fraction else 0
    return (moment - _EPOCH) // _MICROSECOND + micros


# ── RFC 3164 ──────────────────────────────────────────────────────────────────────────────────


def _legacy(rest: str, priority: int, now: int, zone: tzinfo) -> Message:
    found = _LEGACY_TIME.match(rest)
    iso = None if found else _ISO_TIME.match(rest)  # as rsyslog forwards
    if found is not None:
        time = _legacy_time(found, now, zone)
        rest = rest[found.end() :]
    elif iso is not None:
        time = _rfc3339(iso[1], now)
        rest = rest[iso.end() :]
    else:
        time = now
    host = ""
    # `HOSTNAME TAG: …`; relays of local messages leave the first one out.
    if (found or iso) and not _TAG.match(rest) and (name := _HOST.match(rest)):
        host, rest = name[1], rest[name.end() :]
    tag = _TAG.match(rest)
    if tag is None:
        return Message(time, priority, host, "-", rest)
    return Message(time, priority, host, tag[1], rest[tag.end() :])


def _legacy_time(found: re.Match[str], now: int, zone: tzinfo) -> int:
    """Give the time in the year that brings it nearest to now, as it does not say which."""
    name, day, year, hour, minute, second, fraction = found.groups()
    today = _EPOCH + timedelta(microseconds=now)
    years = [int(year)] if year else [today.year - 1, today.year, today.year + 1]
    times = []
    for candidate in years:
        try:
            moment = datetime(
                candidate, _MONTHS[name], int(day), int(hour), int(minute), int(second),
                tzinfo=zone,
            )  # fmt: skip
            times.append(_microseconds(moment.astimezone(UTC), fraction))
        except (KeyError, ValueError, OverflowError):  # the 29th of February of another year
            continue
    return min(times, key=lambda time: abs(time - now), default=now)
