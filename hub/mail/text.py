"""What others wrote, made fit for a mail: addresses, one line, no control characters."""

import re
from email.headerregistry import Address
from typing import Annotated, Final

import msgspec

# What browsers take for an address (HTML, "valid e-mail address"); `$` alone would also match
# before a line feed at the end.
ADDRESS: Final = (
    r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$(?!\n)"  # a pattern
)
LONGEST_ADDRESS: Final = 254  # RFC 5321, 4.5.3.1.3, without the angle brackets

MailAddress = Annotated[str, msgspec.Meta(max_length=LONGEST_ADDRESS, pattern=ADDRESS)]
"""One address, as a Struct's field."""

# A name without what would have to be quoted or commented (RFC 5322, 3.4), in any script.
_MAILBOX: Final = re.compile(
    r"(?P<name>[^\x00-\x1f\x7f\x85\u2028\u2029<>()\[\]:;@\\,\"]{1,100}?) *<(?P<address>[^<>]+)>"
)

# Control characters are shown as the pictures that Unicode has for them; a line feed stays.
_PICTURES: Final = {code: 0x2400 + code for code in range(32) if code not in {9, 10}} | {
    127: 0x2421, **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD),
}  # fmt: skip
# Whatever Python takes for the end of a line (`str.splitlines`) can be in no header.
_LINE_ENDS: Final = dict.fromkeys((0x0A, 0x85, 0x2028, 0x2029), 0x240A)


def is_address(text: str) -> bool:
    """Say whether this is one address, as `MailAddress` has it."""
    return len(text) <= LONGEST_ADDRESS and re.search(ADDRESS, text) is not None


def mailbox_of(text: str) -> Address | None:
    """Read `Isaax <hub@example.com>` or `hub@example.com`; None when it is neither."""
    match = _MAILBOX.fullmatch(text)
    name, address = (match["name"], match["address"]) if match else ("", text)
    if not is_address(address):
        return None
    return Address(display_name=name, addr_spec=address)


def printable(text: str) -> str:
    """Show control characters as pictures of them; tabs and line feeds stay."""
    return text.translate(_PICTURES)


def one_line(text: str, longest: int) -> str:
    """Make text fit for a header: no control character, above all no line feed, and short.

    Args:
        longest: characters; what is longer is cut, and ends in `…`.
    """
    plain = printable(text).translate(_LINE_ENDS)
    return plain if len(plain) <= longest else f"{plain[: longest - 1]}…"
