"""What keeps a person from being deleted."""

from hub import Conflict


class LastOwner(Conflict):
    """You are the last owner of accounts that others are in.

    Make another member owner or hand the account over (`POST /api/v1/accounts/{account}/transfer`),
    or delete it (`POST /api/v1/accounts/{account}/deletion`); then try again.
    """

    code = "last-owner"
