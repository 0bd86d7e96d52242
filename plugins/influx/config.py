"""What a user configures for InfluxDB."""

from typing import Annotated, Literal
from urllib.parse import urlencode

import msgspec

from hub import HttpUrl, Secret, client_tls

Name = Annotated[str, msgspec.Meta(max_length=256)]


class InfluxConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bucket, or a database.

    Args:
        url: of the server, such as `https://influx.example.com:8086`.
        api: `v2` (also of InfluxDB 3 and Cloud), or `v1`.
        org: name or id of the organization; of v2, which may need none.
        bucket: name or id of the bucket; of v2.
        token: an API token that may write there; of v2.
        database: of v1.
        retention_policy: of v1; its default one when empty.
        username: of v1, where it asks for one.
        password: of that user.
        metrics: write samples; off, they are left out.
        logs: write lines as well; off, they are left out.
        measurement: that the lines go to.
        gzip: compress the bodies.
        ca: PEM text of the authority to trust instead of the public ones.
    """

    url: HttpUrl
    api: Literal["v2", "v1"] = "v2"
    org: Name = ""
    bucket: Name = ""
    token: Secret = Secret("")
    database: Name = ""
    retention_policy: Name = ""
    username: Name = ""
    password: Secret = Secret("")
    metrics: bool = True
    logs: bool = False
    measurement: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][\w.-]{0,127}$(?!\n)")] = "logs"
    gzip: bool = True
    ca: str = ""

    def __post_init__(self) -> None:
        if "?" in self.url or "#" in self.url:
            raise ValueError("url is the server's address, without a query")
        if self.api == "v2":
            if not self.bucket:
                raise ValueError("v2 needs bucket")
            if self.database or self.retention_policy or self.username or self.password:
                raise ValueError("database, retention_policy, username and password are of v1")
        else:
            if not self.database:
                raise ValueError("v1 needs database")
            if self.org or self.bucket or self.token:
                raise ValueError("org, bucket and token are of v2")
        if bool(self.username) != bool(self.password) or ":" in self.username:
            raise ValueError("username and password go together; no colon in username")
        if not self.token.reveal().isascii() or not self.token.reveal().isprintable():
            raise ValueError("token must be printable US-ASCII")
        if not (self.metrics or self.logs):
            raise ValueError("metrics and logs cannot both be off")
        if self.ca:
            client_tls(ca=self.ca)

    def write_url(self, precision: Literal["us", "ns"]) -> str:
        """Give the address to write to.

        Args:
            precision: of the times in the body.
        """
        base = self.url.rstrip("/")
        if self.api == "v2":
            query = {"org": self.org, "bucket": self.bucket, "precision": precision}
            path = "/api/v2/write"
        else:
            # v1 calls microseconds `u` (API reference, "/write").
            short = "u" if precision == "us" else "ns"
            query = {"db": self.database, "rp": self.retention_policy, "precision": short}
            path = "/write"
        return f"{base}{path}?{urlencode({key: value for key, value in query.items() if value})}"
