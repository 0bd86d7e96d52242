"""`${DEVICE_ID}` in a value: a closed set of names, filled in for each device; `$${` is a `${`."""

import re
from collections.abc import Mapping
from typing import Final

from hub import Invalid

LONGEST: Final[Mapping[str, int]] = {
    "DEVICE_ID": 64,
    "DEVICE_LABEL": 400,  # 100 characters
    "GROUP": 63,
    "PROJECT_ID": 64,
}
"""What there is, and how many bytes each has at most."""

_TOKEN: Final = re.compile(r"(?P<escaped>\$\$\{)|\$\{(?P<name>[^${}]*)(?P<end>\}?)")


def names_in(text: str) -> list[str]:
    """Give the names that a value uses, sorted.

    Raises:
        Invalid: it uses one that there is not, or one without an end.
    """
    found = set()
    for token in _TOKEN.finditer(text):
        if token["escaped"]:
            continue
        name = token["name"]
        if not token["end"] or name not in LONGEST:
            known = ", ".join(f"${{{one}}}" for one in LONGEST)
            raise Invalid(f"{token[0]} is none of {known}; a plain ${{ is written $${{")
        found.add(name)
    return sorted(found)


def expand(text: str, values: Mapping[str, str]) -> str:
    """Fill in a value whose names are good."""
    return _TOKEN.sub(lambda token: "${" if token["escaped"] else values[token["name"]], text)


def longest(text: str) -> int:
    """Say how many bytes a value has at most once it is filled in."""
    return len(text.encode()) + sum(
        LONGEST[token["name"]] for token in _TOKEN.finditer(text) if not token["escaped"]
    )
