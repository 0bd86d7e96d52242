"""Conditional requests (RFC 9110, section 13).

A thing's version makes a strong entity tag, which guards changes. What has no version, such as a
list, has a weak one of its content, which spares a reader what it has already.
"""

import functools
import hashlib
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote

import msgspec
from aiohttp import hdrs

from hub.errors import PreconditionFailed
from hub.gateway.problems import Malformed, PreconditionRequired

# RFC 9110, section 8.8.3: entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE
_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST = re.compile(rf"[ \t]*{_TAG}(?:[ \t]*,[ \t]*{_TAG})*[ \t]*")
_ONE = re.compile(r'(?P<weak>W/)?"(?P<opaque>[^"]*)"')
# What a version may hold as it is; `quote` leaves letters, digits and "_.-~" alone anyway.
_SAFE: Final = "!#$&'()+,/:;<=>?@[]^`{|}"


@functools.lru_cache(maxsize=4096)
def etag(version: str) -> str:
    """Give the strong entity tag of a version."""
    return f'"{quote(version, safe=_SAFE)}"'


def etag_of_content(content: bytes) -> str:
    """Give the opaque part of the weak entity tag of something without a version."""
    return hashlib.blake2b(content, digest_size=12).hexdigest()


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


class ChangeConditions(msgspec.Struct, frozen=True):
    """What a change asks of the thing; see `Call`."""

    if_match: tuple[str, ...] | None = None
    if_absent: bool = False

    @classmethod
    def of(
        cls, headers: Mapping[str, str], *, required: bool, versioned: bool, creates: bool
    ) -> "ChangeConditions":
        """Read them.

        Args:
            required, versioned, creates: as the route says: `if_match` and so on.

        Raises:
            PreconditionRequired, Malformed: as `parse_if_match`.
            PreconditionFailed: no version can match where there is none.
        """
        if_match = parse_if_match(headers.get(hdrs.IF_MATCH), required=required)
        absent = headers.get(hdrs.IF_NONE_MATCH)
        if absent is not None:
            if absent.strip(" \t") != "*":
                raise Malformed("for a change, If-None-Match is *; versions go into If-Match")
            if creates:
                return cls(if_match, if_absent=True)
            if_match = ()  # it fails if there is such a thing, and there is none to be made
        if not versioned and if_match not in {None, ("*",)}:
            raise PreconditionFailed("this has no ETag that could match")
        return cls(if_match)


class Conditions(msgspec.Struct, frozen=True):
    """What a read asks of the version of the thing.

    Args:
        if_match, if_none_match: the versions that the headers name; None when absent.
    """

    if_match: tuple[str, ...] | None = None
    if_none_match: tuple[str, ...] | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "Conditions":
        """Read them.

        Raises:
            Malformed: one is no list of entity tags.
        """
        if_none_match = headers.get(hdrs.IF_NONE_MATCH)
        known = None
        if if_none_match is not None:  # weak comparison here, section 13.1.2
            known = tuple(opaque for _, opaque in _parse(hdrs.IF_NONE_MATCH, if_none_match))
        return cls(parse_if_match(headers.get(hdrs.IF_MATCH), required=False), known)

    def not_modified(self, version: str) -> bool:
        """Say whether the client has this version already.

        Raises:
            PreconditionFailed: `If-Match` names other versions.
        """
        if self.if_match is not None and not {version, "*"} & set(self.if_match):
            raise PreconditionFailed("it has another version now")
        return self._has(version)

    def not_modified_content(self, content: str) -> bool:
        """Say whether the client has this content (see `etag_of_content`) already.

        Raises:
            PreconditionFailed: `If-Match` asks for a strong entity tag.
        """
        if self.if_match not in {None, ("*",)}:
            raise PreconditionFailed("this has no ETag that could match")
        return self._has(content)

    def _has(self, opaque: str) -> bool:
        return self.if_none_match is not None and bool({opaque, "*"} & set(self.if_none_match))


def _parse(name: str, header: str) -> list[tuple[bool, str]]:
    if header.strip(" \t") == "*":
        return [(False, "*")]
    if not _LIST.fullmatch(header):
        raise Malformed(f'the header {name} is "*" or a list of entity tags in quotes')
    tags = [(bool(one["weak"]), one["opaque"]) for one in _ONE.finditer(header)]
    # `etag` never gives "*" in quotes, and here it would read as the bare * that matches anything.
    return [(weak, unquote(opaque)) for weak, opaque in tags if unquote(opaque) != "*"]
