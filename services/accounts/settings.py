"""The section `[accounts]` of `hub.toml`."""

from typing import Annotated, Literal

import msgspec

Seconds = Annotated[int, msgspec.Meta(ge=60)]
Limit = Annotated[int, msgspec.Meta(ge=0)]


class AccountsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How people come in.

    Args:
        signup: `open`: whoever reads mail at an address may make an account of their own;
            `closed`: only who is invited.
        session_idle: seconds after which a session ends that was not used.
        session_lifetime: seconds after which a session ends in any case.
        deletion_grace: seconds for which the deletion of an account, or of a person, can be undone.
        tries_per_address, tries_per_network: failed logins, sign-ups and mails that may be asked
            for in 15 minutes from one address, and from one network (/24, or /56 of IPv6); 0 is
            no limit. A device that its owner has logged in from before is not held up.
    """

    signup: Literal["open", "closed"] = "open"
    session_idle: Seconds = 14 * 86_400
    session_lifetime: Seconds = 90 * 86_400
    deletion_grace: Seconds = 14 * 86_400
    tries_per_address: Limit = 30
    tries_per_network: Limit = 150
