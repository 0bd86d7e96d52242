"""What a user configures for Slack."""

import re
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
import re2

from hub import Secret, Severity, client_tls

_URL: Final = re.compile(r"https?://[^\s/?#@]+/[^\s#]+")

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Text = Annotated[str, msgspec.Meta(max_length=1_000)]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lines that are worth a message: those for which everything holds that is given.

    Args:
        name: what the message calls it.
        severity: this one or a more severe one (`err` also matches `crit`).
        text: part of the message, as it is written.
        regex: found somewhere in the message (RE2 syntax: it never backtracks).
        programs: any of these, by name.
        at_least: lines that have to match within one message's time, or nothing is said.
    """

    name: Name
    severity: Severity | None = None
    text: Text = ""
    regex: Text = ""
    programs: Annotated[tuple[Text, ...], msgspec.Meta(max_length=1_000)] = ()
    at_least: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1

    def __post_init__(self) -> None:
        self.pattern()

    def pattern(self) -> Any:
        """Give the compiled `regex`; None when there is none.

        Raises:
            ValueError: RE2 refuses it, in words a user understands.
        """
        if not self.regex:
            return None
        options = re2.Options()
        options.log_errors = False
        try:
            return re2.compile(self.regex, options)
        except re2.error as error:
            words = error.args[0] if error.args else ""
            said = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
            raise ValueError(f"regex is not one that RE2 takes: {said}") from None


class SlackConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An incoming webhook, and what it is told.

    Args:
        url: of the webhook; whoever knows it can post, so it is kept secret.
        rules: a line counts for the first one that it matches; one that matches none is not told.
        every: seconds between two messages; what happens meanwhile is told in one.
        blocks: send Slack's blocks; false for Mattermost and Rocket.Chat, which take text.
        ca: PEM text of the authority to trust instead of the public ones.
    """

    url: Secret
    rules: Annotated[tuple[Rule, ...], msgspec.Meta(min_length=1, max_length=20)]
    every: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 60.0
    blocks: bool = True
    ca: str = ""

    def __post_init__(self) -> None:
        if not _URL.fullmatch(self.url.reveal()):
            raise ValueError("url is the address of the webhook, with its path")
        if self.ca:
            client_tls(ca=self.ca)

    def hidden(self) -> tuple[str, ...]:
        """Give the parts of the address that nobody may see."""
        parts = urlsplit(self.url.reveal())
        return tuple(part for part in (parts.path, parts.query) if len(part) > 1)
