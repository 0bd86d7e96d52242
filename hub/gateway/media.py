"""Media types of a request: what it accepts (`Accept`) and what it carries (`Content-Type`)."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from hub.gateway.problems import Malformed, NotAcceptable, UnsupportedMediaType

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"  # RFC 7396
FORM: Final = "application/x-www-form-urlencoded"  # WHATWG URL, section 5
EVENTS: Final = "text/event-stream"  # WHATWG HTML, section 9.2

# RFC 9110: token (5.6.2), parameter (5.6.6), media-range and weight (12.5.1, 12.4.2). Nothing that
# was taken is given back (`++`, `*+`): else blanks between semicolons could be dealt out in ever so
# many ways.
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_PARAMETER = rf'[ \t]*+;[ \t]*+(?:{_NAME}=(?:{_NAME}|"(?:[^"\\]|\\.)*+"))?+'
_MEDIA = re.compile(rf"(?P<type>{_NAME})/(?P<subtype>{_NAME})(?P<parameters>(?:{_PARAMETER})*+)")
_ONE_PARAMETER = re.compile(rf'(?P<name>{_NAME})=(?P<value>{_NAME}|"(?:[^"\\]|\\.)*")')
_QUALITY = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?")
_MAX_RANGES: Final = 32


class MediaType(msgspec.Struct, frozen=True):
    """A media type or range, in lower case, with its parameters."""

    type: str
    subtype: str
    parameters: dict[str, str] = {}

    @property
    def name(self) -> str:
        """`type/subtype`."""
        return f"{self.type}/{self.subtype}"

    @classmethod
    def parse(cls, text: str) -> "MediaType | None":
        """Read one; None when it is not well formed."""
        match = _MEDIA.fullmatch(text.strip(" \t"))
        if match is None:
            return None
        parameters = {
            one["name"].lower(): one["value"].strip('"')
            for one in _ONE_PARAMETER.finditer(match["parameters"])
        }
        return cls(match["type"].lower(), match["subtype"].lower(), parameters)

    def precision(self, offer: str) -> int:
        """Say how exactly this range names the offer: 0 not at all, 3 by its full name."""
        kind = offer.partition("/")[0]
        if self.name == offer:
            return 3
        if self.name == f"{kind}/*":
            return 2
        return int(self.name == "*/*")


def choose(accept: str | None, offers: Sequence[str]) -> str:
    """Choose what to answer (RFC 9110, section 12.5.1).

    Args:
        accept: the header; None or "" accepts everything.
        offers: what there is, the preferred one first.

    Raises:
        Malformed: the header is not well formed.
        NotAcceptable: none of the offers is accepted.
    """
    if not accept:
        return offers[0]
    ranges = [_parse_range(part) for part in _split(accept)]
    best, best_quality = "", 0.0
    for offer in offers:
        exact, quality = 0, 0.0
        for media, weight in ranges:
            precision = media.precision(offer)
            if precision > exact:
                exact, quality = precision, weight
        if quality > best_quality:
            best, best_quality = offer, quality
    if not best:
        raise NotAcceptable(f"there is {' and '.join(offers)}")
    return best


def _parse_range(text: str) -> tuple[MediaType, float]:
    media = MediaType.parse(text)
    weight = media.parameters.get("q", "1") if media else ""
    if media is None or not _QUALITY.fullmatch(weight):
        raise Malformed("the header Accept is not a list of media ranges")
    return media, float(weight)


def _split(accept: str) -> list[str]:
    """Split a list (RFC 9110, section 5.6.1: empty elements are ignored)."""
    parts = [part for part in accept.split(",") if part.strip(" \t")]
    if not parts or len(parts) > _MAX_RANGES:
        raise Malformed(f"the header Accept has 1 to {_MAX_RANGES} media ranges")
    return parts


def require(expected: str, content_type: str | None, content_encoding: str | None) -> None:
    """Refuse a body that is not of this media type, in UTF-8, and as it is.

    Compressed bodies are refused: nothing that is sent here is large, and a small one that
    unfolds into gigabytes cannot be sent at all.

    Raises:
        UnsupportedMediaType: with the header that names what is taken (RFC 5789, section 2.2;
            RFC 9110, section 12.5.3).
    """
    if content_encoding and content_encoding.strip().lower() != "identity":
        raise UnsupportedMediaType(
            "send the body without Content-Encoding", headers={"Accept-Encoding": "identity"}
        )
    media = MediaType.parse(content_type or "")
    charset = media.parameters.get("charset", "utf-8").lower() if media else ""
    if media is None or media.name != expected or charset not in {"utf-8", "utf8", "us-ascii"}:
        header = "Accept-Patch" if expected == MERGE_PATCH else "Accept-Post"
        raise UnsupportedMediaType(
            f"send the body as {expected} in UTF-8", headers={header: expected}
        )
