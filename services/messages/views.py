"""What the routes of integrations share: where things are, and how they are shown."""

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from hub import PASSING, Call, NoQuery, Reply, Shape
from hub.relay import contracts as relay
from services.messages import contracts as c

PROJECT: Final = "/api/v1/projects/{project}"
OF_PROJECT: Final = f"{PROJECT}/integrations"
INTEGRATION: Final = "/api/v1/integrations/{integration}"


class IntegrationView(msgspec.Struct, frozen=True):
    """An integration as the API shows it: secrets masked, and how it fares."""

    id: str
    project: str
    type: str
    name: str
    enabled: bool
    config: dict[str, Any]
    shape: Shape
    created_at: datetime
    updated_at: datetime
    status: Annotated[relay.IntegrationStatus | None, PASSING] = None


def view(item: c.Integration) -> IntegrationView:
    """Show an integration."""
    return msgspec.convert(item, IntegrationView, from_attributes=True)


def reply(item: c.Integration, location: str | None = None) -> Reply:
    """Answer with an integration."""
    return Reply(view(item), location=location, version=str(item.revision), live=True)


async def find(call: Call[Any, Any]) -> c.Integration:
    """Give the integration that the path names.

    Raises:
        NotFound: there is none, or it is another account's.
    """
    request = c.OneIntegration(call.caller.account, call.path["integration"])
    return await call.bus.request(c.GET, request)


NoBody = Call[None, NoQuery]
