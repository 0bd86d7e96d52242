"""What the service `envars` keeps of an account."""

import msgspec

from hub import AccountRows, Database
from services.envars.levels import SQL


class _Counted(msgspec.Struct, frozen=True):
    envars: int
    envar_statuses: int


def account_of_envars(database: Database) -> AccountRows:
    """Answer for an account's variables, and how far its devices are with them."""
    erases = ("erase_levels", "erase_devices")
    return AccountRows(database, SQL, _Counted, file="envars", erases=erases)
