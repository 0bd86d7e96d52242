"""What a user configures for remote-write."""

import msgspec

from hub import HttpUrl, Secret, check_headers, client_tls


class PrometheusConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A remote-write receiver.

    Args:
        url: of its write endpoint, such as `https://prometheus.example.com/api/v1/write`.
        username: for Basic authentication.
        password: of that user.
        token: a bearer token, instead of username and password.
        headers: more headers, such as X-Scope-OrgID; their values are kept secret.
        ca: PEM text of the authority to trust instead of the public ones.
    """

    url: HttpUrl
    username: str = ""
    password: Secret = Secret("")
    token: Secret = Secret("")
    headers: dict[str, Secret] = {}
    ca: str = ""

    def __post_init__(self) -> None:
        if bool(self.username) != bool(self.password):
            raise ValueError("username and password go together")
        if ":" in self.username:
            raise ValueError("username cannot hold a colon")  # RFC 7617, 2
        if self.username and self.token:
            raise ValueError("give username and password, or token")
        own = ("authorization",) if self.username or self.token else ()
        check_headers(self.headers, ours=("x-prometheus-remote-write-version", *own))
        if not self.token.reveal().isprintable() or not self.token.reveal().isascii():
            raise ValueError("token must be printable US-ASCII")
        if self.ca:
            client_tls(ca=self.ca)
