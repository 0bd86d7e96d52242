"""Which projects the request that is being served must not see; carried from the gateway on.

A person's role may be narrower in some projects than in the account. The gateway knows for which
of them a request lacks the permission; every transaction on its behalf is blind to them, in
whatever process it runs (see `hub/tenancy.py` and `hub/messaging/wire.py`).
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_hidden: ContextVar[frozenset[str]] = ContextVar("hidden", default=frozenset())


def hidden_projects() -> frozenset[str]:
    """Give the ids of the projects that are hidden from the present request."""
    return _hidden.get()


@contextmanager
def hiding(projects: Collection[str]) -> Iterator[None]:
    """Hide these projects, and no others, from what is done meanwhile."""
    token = _hidden.set(frozenset(projects))
    try:
        yield
    finally:
        _hidden.reset(token)
