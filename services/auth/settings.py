"""The section `[auth]` of `hub.toml`."""

import msgspec


class AuthSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How devices come in.

    Args:
        nonce_seconds: for how long a nonce may be used.
        session_seconds: for how long a session lives before its device says hello again.
        pending_seconds: a registration that never said hello is dropped after this.
        waiting_seconds: a registration that nobody has approved is dropped after this.
        workers: messages at work at once.
        hellos_at_once: devices that may be on their way in; the others are told when to come.
        hellos_per_second: so many of those are told to come in a second.
    """

    nonce_seconds: int = 60
    session_seconds: int = 86_400
    pending_seconds: int = 86_400
    waiting_seconds: int = 30 * 86_400
    workers: int = 128
    hellos_at_once: int = 400
    hellos_per_second: float = 500.0
