"""The token of a challenge: made at the edge, and digested before it goes on."""

from dataclasses import dataclass
from typing import Any, Final

from hub import Call, Cookie
from services.accounts.second_factors.challenges import LIFETIME
from services.accounts.tokens import digest_of, new_token

BOUND: Final = "challenge"
"""The cookie that a browser's challenge goes with, so that it is of use to nobody else."""
GONE: Final = Cookie(BOUND, "")


@dataclass(frozen=True, slots=True, repr=False)
class FreshChallenge:
    """A challenge's token; `bound` is of the cookie that it goes with, "" without one."""

    token: str
    bound: str

    @classmethod
    def make(cls, *, bound: bool = False) -> "FreshChallenge":
        """Make one."""
        return cls(new_token("isc_"), new_token("isb_") if bound else "")

    @property
    def digest(self) -> str:
        """What is kept of the token."""
        return digest_of(self.token).hex()

    @property
    def bound_digest(self) -> str:
        """What is kept of the cookie."""
        return digest_of(self.bound).hex() if self.bound else ""

    @property
    def cookies(self) -> tuple[Cookie, ...]:
        """What the browser is given."""
        return (Cookie(BOUND, self.bound, int(LIFETIME)),) if self.bound else ()


def digest_of_cookie(call: Call[Any, Any], name: str) -> str:
    """Give what is kept of a cookie's value; "" without one."""
    value = call.cookies.get(name, "")
    return digest_of(value).hex() if value else ""
