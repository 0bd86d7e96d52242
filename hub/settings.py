"""The sections of `hub.toml` that belong to the core: typed, each field with a default.

Every field can also be set by the environment as `ISAAX_<SECTION>_<FIELD>`; `hub/config.py`
reads, merges and checks them.
"""

import re
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from hub.mail.text import is_address, mailbox_of
from hub.secret import Secret

_ORIGIN: Final = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?/?")


class HubSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What runs in this process.

    Args:
        services: started in dependency order; leave one out to switch it off.
        remote: services that another process runs; what needs them may then start here.
        plugins: packages besides our own that may be loaded (names of their entry points).
        drain: seconds that the whole process may take to end.
    """

    name: str = "isaax"
    services: tuple[str, ...] = (
        "accounts", "projects", "auth", "devices", "envars", "commands", "scripts", "triggers",
        "messages", "telemetry", "alerts", "mail", "relay", "audit", "syslog_listener",
        "http_listener", "gateway",
    )  # fmt: skip
    remote: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    drain: float = 30.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"


class HttpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the gateway listens.

    Args:
        certificate, key: PEM files; with them it serves HTTPS.
        max_body: bytes of the largest request body.
        metrics_token: bearer token that opens `/metrics` from anywhere. Without it, `/metrics`
            answers this very machine alone; set it where a proxy on this machine adds none of
            the headers `Forwarded`, `Via`, `X-Forwarded-…` and `X-Real-IP`.
        trusted_proxies: networks of proxies (`10.0.0.0/8`) that say in `X-Forwarded-For` and
            `X-Forwarded-Proto` for whom they ask; nobody else is believed.
        allowed_origins: origins (`https://app.example.com`) of other sites whose pages may use
            the API with a token (CORS); `*` is every site.
        requests_per_token: in a minute; 0, here and in the next two, is no limit.
        requests_per_network: in a minute, from one /24, or /56 of IPv6.
        requests_unauthenticated: of those, without a valid credential.
        requests_at_work: of one account at once; the others of it wait. 0 is no limit.
        connections: at once; connections_per_address: of those, from one address (a trusted
            proxy may have all).
        public_url: where people reach the hub, such as `https://hub.example.com`: links in mails
            lead there. Without it, they lead to `host` and `port`.
    """

    host: str = "127.0.0.1"
    port: int = 7800
    certificate: Path | None = None
    key: Path | None = None
    max_body: int = 1024 * 1024
    metrics_token: Secret = Secret("")
    trusted_proxies: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    requests_per_token: int = 6_000
    requests_per_network: int = 12_000
    requests_unauthenticated: int = 1_200
    requests_at_work: int = 8
    connections: int = 4_000
    connections_per_address: int = 500
    public_url: str = ""

    def __post_init__(self) -> None:
        for name in (
            "requests_per_token", "requests_per_network", "requests_unauthenticated",
            "requests_at_work",
        ):  # fmt: skip
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is 0 or more")
        if self.connections < 1 or self.connections_per_address < 1:
            raise ValueError("connections, connections_per_address are 1 or more")
        if self.public_url and not _ORIGIN.fullmatch(self.public_url):
            raise ValueError("public_url is like https://hub.example.com, without a path")

    @property
    def origin(self) -> str:
        """Where people reach the hub, without a slash at the end."""
        return self.public_url.rstrip("/") or self.origin_at(reachable(self.host))

    def origin_at(self, host: str) -> str:
        """Give the address that the gateway has under a name or address of this machine."""
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self.certificate else 'http'}://{shown}:{self.port}"


class MqttSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The broker, as the hub reaches it (devices may reach it elsewhere, over TLS).

    Args:
        ca: PEM file of the authority that signed the broker's certificate; with it, TLS is used.
    """

    host: str = "127.0.0.1"
    port: int = 7883
    username: str = "hub"
    password: Secret = Secret("")
    ca: Path | None = None


class NatsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The NATS server (2.14 or newer, JetStream on, `sync_interval: always`)."""

    url: str = "nats://127.0.0.1:7422"
    user: str = ""
    password: Secret = Secret("")


class PostgresSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The database (PostgreSQL 15 or newer)."""

    host: str = "127.0.0.1"
    port: int = 7432
    database: str = "isaax"
    user: str = "isaax"
    password: Secret = Secret("")
    pool: int = 10


class VaultSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The key that protects secrets at rest.

    Args:
        key_file: 32 bytes in base64, readable by the hub alone (mode 0600).
        old_key_files: keys that may still open what they sealed, until a rotation is over.
    """

    key_file: Path = Path("vault.key")
    old_key_files: tuple[Path, ...] = ()


class RelaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The relay.

    Args:
        shards: JetStream streams that projects are spread over; fixed at the first start.
        parts: shares that the integrations are dealt into, one for each process that delivers.
        part: the share of this process, from 0.
        delivers: False leaves all delivering to processes that run the service `delivery`.
        max_age: seconds that lines are kept; max_bytes: per shard.
        dedup_window: seconds that JetStream remembers message ids.
        replicas: of the streams, on a NATS cluster.
        private_hosts: integrations may reach private addresses (a self-hoster's own network).
        window: bytes of lines that one integration holds in memory at most.
        memory: bytes of lines that all integrations of this process hold together at most.
        patience: seconds that a plugin may hold up this process; then it is interrupted.
        files: folder that integrations of the type `file` may write to; without it, none may.
        project_lines_per_second, project_bytes_per_second, project_lines_per_day: what a project
            may send that has no limits of its own (`isaax limits set`); 0 is no limit.
        project_share: of the room for dead letters, and of that for replays, that one project may
            take; more than 0 and at most 1.
    """

    shards: int = 1
    parts: int = 1
    part: int = 0
    delivers: bool = True
    max_age: float = 7 * 86400.0
    max_bytes: int = 20 * 1024**3
    dedup_window: float = 3600.0
    replicas: int = 1
    private_hosts: bool = False
    window: int = 16 * 1024 * 1024
    memory: int = 512 * 1024 * 1024
    patience: float = 2.0
    files: Path | None = None
    project_lines_per_second: float = 0.0
    project_bytes_per_second: float = 0.0
    project_lines_per_day: int = 0
    project_share: float = 0.25

    def __post_init__(self) -> None:
        if not 0 <= self.part < self.parts:
            raise ValueError("part is from 0 to one less than parts")
        if self.patience <= 0:
            raise ValueError("patience is more than 0")
        if not 0 < self.project_share <= 1:
            raise ValueError("project_share is more than 0 and at most 1")


class MailSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mail server that the hub's own mails leave through.

    Args:
        host, port: that takes your mail (submission). Without a host, mails stay in the hub:
            `/outbox` shows them to this very machine.
        security: `starttls` (usually port 587), `tls` from the first byte on (465), or `none`.
        username, password: to log in with; not without TLS.
        sender: that mails come from: `hub@example.com`, or `Isaax <hub@example.com>`.
        reply_to: address that answers go to, if it is another.
        ca: PEM file of the authority that signed the server's certificate, if it is your own.
        outbox: whether `/outbox` shows what stays. Turn it off where a proxy on this machine adds
            none of the headers `Forwarded`, `Via`, `X-Forwarded-…` and `X-Real-IP`.
    """

    host: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{0,253}$(?!\n)")] = ""
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: Annotated[str, msgspec.Meta(max_length=320)] = ""
    password: Secret = Secret("")
    sender: str = ""
    reply_to: str = ""
    ca: Path | None = None
    outbox: bool = True

    def __post_init__(self) -> None:
        if self.host and not self.sender:
            raise ValueError("with a host, sender is the address that mails come from")
        if self.sender and mailbox_of(self.sender) is None:
            raise ValueError("sender is hub@example.com or Isaax <hub@example.com>")
        if self.reply_to and not is_address(self.reply_to):
            raise ValueError("reply_to is an address: ops@example.com")
        if bool(self.username) != bool(self.password):
            raise ValueError("username and password go together")
        if self.password and self.security == "none":
            raise ValueError("a password is sent over TLS alone: set security to starttls or tls")


def reachable(host: str) -> str:
    """Give an address at which this machine reaches what listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


class Settings(msgspec.Struct, frozen=True):
    """All of `hub.toml`; `plugins` holds the sections that plugins declared, by their type."""

    hub: HubSettings = HubSettings()
    http: HttpSettings = HttpSettings()
    mqtt: MqttSettings = MqttSettings()
    nats: NatsSettings = NatsSettings()
    postgres: PostgresSettings = PostgresSettings()
    vault: VaultSettings = VaultSettings()
    relay: RelaySettings = RelaySettings()
    mail: MailSettings = MailSettings()
    plugins: dict[type[msgspec.Struct], msgspec.Struct] = {}
