"""What the service `scripts` keeps of an account."""

import msgspec

from hub import AccountRows, Database
from services.scripts.rules import SQL


class _Counted(msgspec.Struct, frozen=True):
    script_versions: int
    script_statuses: int
    script_results: int


def account_of_scripts(database: Database) -> AccountRows:
    """Answer for an account's scripts, how far its devices are with them, and what these ran."""
    erases = ("erase_projects", "erase_devices")
    return AccountRows(database, SQL, _Counted, file="scripts", erases=erases)
