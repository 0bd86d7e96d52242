"""What is hidden without anyone having to write a pattern for it.

The forms are those that the services document for the scanners of leaked secrets (for example
https://docs.github.com/en/authentication, https://docs.gitlab.com/security/tokens/,
https://api.slack.com/authentication/token-types and https://docs.stripe.com/keys). All patterns
are RE2. Where one has a group, only the group is hidden; so that what is hidden stays recognizable.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

HIDDEN: Final = "[redacted]"


@dataclass(frozen=True, slots=True)
class Secret:
    """Something to hide.

    Args:
        regex: RE2. Its groups are what is hidden; without groups, all of it.
        replacement: what stands there instead.
        wrapped: it is also recognized when a line break is in the middle of it.
        needs: one of these is in every text in which it is found, in lower case.
        luhn: what it finds is hidden only where it is a number with a valid check digit.
    """

    regex: str
    replacement: str = HIDDEN
    wrapped: bool = False
    needs: tuple[bytes, ...] = ()
    luhn: bool = False


_SHAPES: Final = (
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",  # AWS access key ids
    r"gh[opusr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}",  # GitHub
    r"gl(?:[a-z]{1,10})-[A-Za-z0-9_.-]{20,}",  # GitLab: glpat-, gldt-, glrt-, …
    r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}",  # Slack
    r"hooks\.slack\.com/[a-z]+/[A-Za-z0-9/_+-]{20,}",
    r"[rs]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{20,}",  # Stripe
    r"AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_.-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}",  # Google
    r"\bsk-[A-Za-z0-9_-]{20,}",  # OpenAI, Anthropic and others
    r"npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{50,}",
    r"hf_[A-Za-z0-9]{30,}|hv[sbr]\.[A-Za-z0-9_-]{20,}",  # Hugging Face, HashiCorp Vault
    r"do[opr]_v1_[a-f0-9]{64}|shp[a-z]{2}_[a-fA-F0-9]{32}",  # DigitalOcean, Shopify
    r"is[px]_[A-Za-z0-9_-]{43}",  # this hub's own
    r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|\bSK[a-f0-9]{32}",  # SendGrid, Twilio
    r"eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){1,4}",  # JWS and JWE (RFC 7515, RFC 7516)
)

_WORDS: Final = (
    r"(?:passw(?:or)?d|passphrase|pwd|secret|token|credentials?|"
    r"(?:api|access|account|auth|client|private|secret|signing|encryption|shared)[_-]?key)"
)
# `password`, `DB_PASSWORD`, `secretAccessKey`, `password_hash`; but not `tokens` or `token_type`.
_NAME: Final = rf"[\w.-]*{_WORDS}(?:[_-]?(?:value|hash|key|base64|\d+))?"
_QUOTED: Final = r""""((?:[^"\\]|\\.)*)|'((?:[^'\\]|\\.)*)|`([^`]*)"""
_ESCAPED: Final = r"""\\+"((?s:.*?))(?:\\+"|$)"""  # a JSON text within a JSON string
# To the next space, quote or &, whatever is within; brackets and commas at the end are not of it.
_BARE: Final = r"""([^\s"'`&\\](?:[^\s"'`&]*[^\s"'`&,;)\]}])?)"""
_VALUE: Final = rf"(?:{_QUOTED}|{_ESCAPED}|{_BARE})"

_TOKENS: Final = (
    Secret("|".join(_SHAPES), wrapped=True),
    # A private key (RFC 7468, section 10), to its end, or to that of the message.
    Secret(
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
        r"((?s:.*?))(?:-----END [A-Z0-9 ]*PRIVATE KEY|$)",
        needs=(b"-----begin",),
    ),
    # `password=…`, `"token": "…"`, `secret => '…'`
    Secret(rf"""(?i){_NAME}\\*["'`]?\]?\s*(?:=>|[:=]{{1,2}})\s*{_VALUE}""", needs=(b"=", b":")),
    Secret(rf"(?i)--[\w-]*{_WORDS}\s+{_VALUE}", needs=(b"--",)),  # `--password …`
    Secret(rf"(?i)<(?:\w+:)?{_NAME}>([^<]+)", needs=(b"<",)),  # `<password>…`
    # Credentials of HTTP (RFC 9110, section 11.4), some of which are lists.
    Secret(
        r"""(?i)authorization\\*["']?\s*[:=]\s*\\*["']?"""
        r"""(?:(?:digest|hawk|oauth|aws4-[\w-]+)\s+([^\n]+)|(?:[a-z][\w-]*\s+)?([^\s"',;\\]+))""",
        needs=(b"authorization",),
    ),
    Secret(r"(?i)\bbearer\s+([A-Za-z0-9._~+/=-]{16,})", needs=(b"bearer",)),
    # The password of a URL (RFC 3986, section 3.2.1); one may hold what should be escaped there.
    Secret(r"""://[^\s/?#:@]*:([^\s/?#]+|\d*[^\d\s/?#][^\s"'<>]*)@""", needs=(b"://",)),
)

_CARDS: Final = (
    Secret(r"[2-9](?:[ -]?[0-9]){12,}", "[card]", wrapped=True, luhn=True),
)  # ISO/IEC 7812-1; what starts with 0 or 1 is a time or a counter, and no card but an airline's

_NOT_IN_ADDRESSES: Final = r"""\s@<>()\[\]{},;:"'`=|\\/%"""
_NOT_IN_HOSTS: Final = rf"{_NOT_IN_ADDRESSES}&?#!$*"
_EMAILS: Final = (
    Secret(
        rf"[^{_NOT_IN_ADDRESSES}]+(?:@|%40)(?:[^{_NOT_IN_HOSTS}.]+\.)+"
        rf"[^{_NOT_IN_HOSTS}.\d-]{{2,}}",
        "[email]",
        needs=(b"@", b"%40"),
    ),
)

NAMES: Final = rf"(?i)^{_NAME}$"
"""Names of labels whose value is a secret, whatever it is."""


def known_secrets(*, tokens: bool, cards: bool, emails: bool) -> tuple[Secret, ...]:
    """Give what is hidden by these settings."""
    return (_TOKENS if tokens else ()) + (_CARDS if cards else ()) + (_EMAILS if emails else ())


def card_numbers(run: bytes) -> Iterator[tuple[int, int]]:
    """Give where, in digits with single separators, 13 to 19 of them are a card's number.

    A number begins and ends where a group of digits does, so that digits of something else that
    stand before or after it do not hide it.
    """
    places = [at for at, byte in enumerate(run) if 0x30 <= byte <= 0x39]
    sums = _LuhnSums([run[at] - 0x30 for at in places])
    last = len(places)
    breaks = [i for i in range(1, last) if places[i] - places[i - 1] > 1]
    ends = {*breaks, last}
    for begin in (0, *breaks):
        for end in range(min(begin + 19, last), begin + 12, -1):
            if end in ends and sums.valid(begin, end):
                yield places[begin], places[end - 1] + 1
                break


class _LuhnSums:
    """Checks any part of some digits (ISO/IEC 7812-1, annex B) without adding them up again."""

    def __init__(self, digits: list[int]) -> None:
        doubled = [2 * digit - 9 * (digit > 4) for digit in digits]
        even = [b if i % 2 else a for i, (a, b) in enumerate(zip(digits, doubled, strict=True))]
        odd = [a if i % 2 else b for i, (a, b) in enumerate(zip(digits, doubled, strict=True))]
        self._sums = ([0, *accumulate(even)], [0, *accumulate(odd)])

    def valid(self, begin: int, end: int) -> bool:
        """Say whether the last digit is the check digit of the others: it is not doubled."""
        sums = self._sums[(end - 1) % 2]
        return (sums[end] - sums[begin]) % 10 == 0
