"""Conditional requests: strong entity tags made of a thing's version (RFC 9110, section 13)."""

import re
from typing import Final
from urllib.parse import quote, unquote

from hub.errors import PreconditionFailed
from hub.gateway.problems import Malformed, PreconditionRequired

# RFC 9110, section 8.8.3: entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE
_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST = re.compile(rf"[ \t]*{_TAG}(?:[ \t]*,[ \t]*{_TAG})*[ \t]*")
_ONE = re.compile(r'(?P<weak>W/)?"(?P<opaque>[^"]*)"')
# What a version may hold as it is; `quote` leaves letters, digits and "_.-~" alone anyway.
_SAFE: Final = "!#$&'()+,/:;<=>?@[]^`{|}"


def etag(version: str) -> str:
    """Give the strong entity tag of a version."""
    return f'"{quote(version, safe=_SAFE)}"'


def parse_if_match(header: str | None, *, required: bool) -> tuple[str, ...] | None:
    """Give the versions that `If-Match` names, ("*",) for any, or None when it is absent.

    A weak tag never matches here (strong comparison, section 13.1.1), so it is left out.

    Raises:
        PreconditionRequired: it is absent, and required (RFC 6585, section 3).
        Malformed: it is no list of entity tags.
    """
    if header is None:
        if required:
            raise PreconditionRequired("send the ETag that you read in If-Match")
        return None
    return tuple(opaque for weak, opaque in _parse("If-Match", header) if not weak)


def check_read(version: str, if_match: tuple[str, ...] | None) -> None:
    """Apply `If-Match` to a read.

    Raises:
        PreconditionFailed: it names other versions.
    """
    if if_match is not None and not {version, "*"} & set(if_match):
        raise PreconditionFailed("it has another version now")


def not_modified(version: str, if_none_match: str | None) -> bool:
    """Say whether the client has this version already (weak comparison, section 13.1.2).

    Raises:
        Malformed: the header is no list of entity tags.
    """
    if if_none_match is None:
        return False
    return bool({version, "*"} & {opaque for _, opaque in _parse("If-None-Match", if_none_match)})


def _parse(name: str, header: str) -> list[tuple[bool, str]]:
    if header.strip(" \t") == "*":
        return [(False, "*")]
    if not _LIST.fullmatch(header):
        raise Malformed(f'the header {name} is "*" or a list of entity tags in quotes')
    tags = [(bool(one["weak"]), one["opaque"]) for one in _ONE.finditer(header)]
    # `etag` never gives "*" in quotes, and here it would read as the bare * that matches anything.
    return [(weak, unquote(opaque)) for weak, opaque in tags if unquote(opaque) != "*"]
