"""What the service `accounts` answers on the bus."""

import msgspec

from hub import Contract, Nothing, Role


class Bootstrapped(msgspec.Struct, frozen=True):
    """The first account; `token` is its API token when this very call made it, else None."""

    account: str
    token: str | None = None


BOOTSTRAP = Contract("accounts.bootstrap", Nothing, Bootstrapped)


class Authenticate(msgspec.Struct, frozen=True):
    """Ask whose API token this is, by its SHA-256 (hex): the token itself stays at the edge."""

    digest: str


class Authenticated(msgspec.Struct, frozen=True):
    """The live token of this digest, and what its owner may do; see `Caller`."""

    id: str
    account: str
    scopes: tuple[str, ...]
    user: str
    role: Role
    narrowed: dict[str, Role]
    needs_factor: bool


AUTHENTICATE = Contract("accounts.authenticate", Authenticate, Authenticated)
