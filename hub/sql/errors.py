"""The driver's errors in the words of `hub.errors`.

The texts name constraints, columns and SQLSTATE, never a value: PostgreSQL repeats those in its
`DETAIL`, and asyncpg those that it cannot encode. Raise what comes of it `from None`.
"""

import re
from typing import Final

import asyncpg

from hub.errors import Conflict, Invalid, IsaaxError, NotFound, Unavailable
from hub.sql.queries import Query, QueryError

# SQLSTATE classes and codes (PostgreSQL manual, appendix A) that pass by themselves, or by what
# an operator does: try again later.
_UNAVAILABLE: Final = {
    "08": "the connection failed",
    "28": "it does not accept the hub's user or password",
    "3D": "the database does not exist",
    "53": "the server is out of resources",
    "57": "the server is stopping, starting, or cancelled the statement",
    "58": "the server has trouble with its disk",
    "40": "it collided with another transaction",
    "55P03": "a lock is held by another transaction",
    "25006": "the server is read-only",
    "25P03": "the transaction was idle for too long",
}
_ARGUMENT: Final = re.compile(r"query argument \$(\d+)")


def translate(error: Exception, query: Query | None = None) -> IsaaxError | QueryError:
    """Say what an error of the driver, or of its socket, means to a caller.

    Args:
        query: the one that it came from, for the text.
    """
    what = f"{query}: " if query else ""
    match error:
        case asyncpg.IntegrityConstraintViolationError() if refusal := _refusal(error):
            return refusal
        case asyncpg.DataError() if (argument := _ARGUMENT.search(str(error))) and query:
            # asyncpg's own, from before the server saw it; the text that follows is the value.
            name = query.parameters[int(argument[1]) - 1]
            return QueryError(f"{what}parameter {name} has the wrong type")
        case asyncpg.PostgresError():
            state = error.sqlstate or "XX000"
            reason = _UNAVAILABLE.get(state) or _UNAVAILABLE.get(state[:2])
            if reason is not None:
                return Unavailable(f"Postgres: {reason} ({state})")
            return QueryError(f"{what}{type(error).__name__} ({state}){_place(error)}")
        case _:
            return Unavailable(f"Postgres: {_trouble(error)}")


def _refusal(error: asyncpg.IntegrityConstraintViolationError) -> IsaaxError | None:
    """Give the outcome that a constraint stands for; None where it shows a mistake of ours."""
    name = error.constraint_name
    match error:
        case asyncpg.UniqueViolationError() | asyncpg.ExclusionViolationError():
            return Conflict(f"it already exists ({name})")
        case asyncpg.RestrictViolationError():
            return Conflict(f"it is still in use ({name})")
        case asyncpg.ForeignKeyViolationError() if "update or delete" in str(error.message):
            return Conflict(f"it is still in use ({name})")
        case asyncpg.ForeignKeyViolationError():
            return NotFound(f"what this refers to does not exist ({name})")
        case asyncpg.CheckViolationError():
            return Invalid(f"a value is out of its range ({name})")
        case _:
            return None


def _trouble(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "no answer in time"
        case asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return "the connection is gone"
        case _:
            return "no connection to the server"


def _place(error: asyncpg.PostgresError) -> str:
    """Name what the server blames; its own message may hold values and is left out."""
    named = {
        "table": error.table_name,
        "column": error.column_name,
        "constraint": error.constraint_name,
        "at character": error.position,
    }
    return "".join(f", {what} {name}" for what, name in named.items() if name)
