"""A typed client of the REST API.

    with connect("https://hub.example.com", Secret("isx_…")) as hub:
        for project in hub.list_projects():
            print(project.name)

Each operation of the API is a method of `Api`. It gives an `Answer`, or `Pages`, or `Events`; or it
raises one of `hub.client.errors`. What is safe to send again is sent again, with patience.

Names resolve on first use, so that the command line can begin without all of this.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub.client.api import Api
    from hub.client.opening import connect
    from hub.client.patience import Patience

__all__ = ["Api", "Patience", "connect"]

_HOMES = {"Api": "api", "Patience": "patience", "connect": "opening"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'hub.client' has no public name {name!r}")
    return getattr(importlib.import_module(f"hub.client.{_HOMES[name]}"), name)
