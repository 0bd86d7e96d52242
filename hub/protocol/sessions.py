"""Registration and sessions: JSON on `auth/<client>/up` and `/down`."""

import hashlib
import hmac
from typing import Annotated

import msgspec

from hub.protocol.limits import VERSION

IdText = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{0,64}$(?!\n)")]
"""What a client calls an id; "" where there is none yet."""


class Begin(msgspec.Struct, frozen=True, tag_field="op", tag="begin"):
    """Device → hub: ask for a nonce."""


class Nonce(msgspec.Struct, frozen=True, tag_field="op", tag="nonce"):
    """Hub → device: a nonce, good once, for this client id, for `expires_in` seconds."""

    nonce: str
    expires_in: int
    versions: list[int] = msgspec.field(default_factory=lambda: [VERSION])


class Register(msgspec.Struct, frozen=True, tag_field="op", tag="register"):
    """Device → hub: register a new device; `proof` is `register_proof(...)`."""

    project: IdText
    nonce: str
    proof: str
    label: str = ""
    agent: str = ""
    system: str = ""


class Registered(msgspec.Struct, frozen=True, tag_field="op", tag="registered"):
    """Hub → device: its id and its key (64 hex digits). Sent once, never again."""

    device: str
    key: str


ConnectionName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{16,64}$(?!\n)")]


class Hello(msgspec.Struct, frozen=True, tag_field="op", tag="hello"):
    """Device → hub: open a session; `proof` is `hello_proof(...)`.

    `connection` is the value that the connection's will carries (see `Gone`); `previous` the id
    of the last session that this device was given: what tells a clone from the original.
    `addresses` are the IP addresses that it has, the most telling first.
    """

    project: IdText
    nonce: str
    proof: str
    connection: ConnectionName
    previous: IdText = ""
    agent: str = ""
    system: str = ""
    addresses: list[str] = []


class Mark(msgspec.Struct, frozen=True, order=True):
    """The last line of a stream that the hub holds durably; (0, 0) before the first."""

    boot: int = 0
    seq: int = 0


class Opened(msgspec.Struct, frozen=True, tag_field="op", tag="session"):
    """Hub → device: the session is open until `expires_at` (Unix seconds, the hub's clock).

    Args:
        marks: of each stream, how far the hub has it.
        versions: by kind (`KINDS`), the newest that the device is to have.
    """

    session: str
    expires_at: int
    time: int
    marks: dict[str, Mark] = {}
    versions: dict[str, int] = {}


class Gone(msgspec.Struct, frozen=True, tag_field="op", tag="gone"):
    """The will, and the last message of an orderly end: this connection is no more."""

    connection: ConnectionName


class Refused(msgspec.Struct, frozen=True, tag_field="op", tag="refused"):
    """Hub → device: no; `code` is one of docs/protocol.md, `retry` seconds (0: not at all)."""

    code: str
    detail: str
    retry: float = 0


Up = Begin | Register | Hello | Gone
Down = Nonce | Registered | Opened | Refused


def register_proof(token: str, project: str, client: str, nonce: str) -> str:
    """Prove the possession of a project token: HMAC-SHA-256 in lower-case hex."""
    key = hashlib.sha256(token.encode()).digest()
    return register_proof_from_digest(key, project, client, nonce)


def register_proof_from_digest(digest: bytes, project: str, client: str, nonce: str) -> str:
    """The same from the token's SHA-256, which is all that the hub keeps."""
    return _proof(digest, "isaax-register-1", project, client, nonce)


def hello_proof(
    key: str, project: str, device: str, nonce: str, connection: str, previous: str = ""
) -> str:
    """Prove the possession of a device key (64 hex digits) for this connection."""
    parts = ("isaax-hello-1", project, device, nonce, connection, previous)
    return _proof(bytes.fromhex(key), *parts)


def _proof(key: bytes, *parts: str) -> str:
    return hmac.new(key, "\n".join(parts).encode(), hashlib.sha256).hexdigest()
