"""What a user configures for e-mail."""

from typing import Annotated, Literal

import msgspec

from hub import AlertRule, MailAddress, Secret, client_tls


class EmailConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mail server, and what is sent through it to whom.

    Args:
        host, port: of the server that takes your mail (submission).
        tls: `starttls` (usually port 587), `tls` from the first byte on (465), or `none`.
        username, password: to log in with; not without TLS.
        sender: the address that mails come from.
        to: the addresses that they go to.
        rules: a line that matches any of them is in the digest; without one there is no mail.
        every: seconds between digests.
        max_shown: lines that a digest shows; it always says how many there were.
        ca: PEM text of the authority to trust instead of the public ones.
    """

    host: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,253}$(?!\n)")]
    sender: MailAddress = msgspec.field(name="from")
    to: Annotated[tuple[MailAddress, ...], msgspec.Meta(min_length=1, max_length=50)]
    rules: Annotated[tuple[AlertRule, ...], msgspec.Meta(min_length=1, max_length=50)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    username: Annotated[str, msgspec.Meta(max_length=320)] = ""
    password: Secret = Secret("")
    every: Annotated[int, msgspec.Meta(ge=60, le=86_400)] = 300
    max_shown: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 50
    ca: str = ""

    def __post_init__(self) -> None:
        if bool(self.username) != bool(self.password):
            raise ValueError("username and password go together")
        if self.password and self.tls == "none":
            raise ValueError("a password is sent over TLS alone: set tls to starttls or tls")
        if self.ca:
            client_tls(ca=self.ca)
