import json

import pytest
from hub import Partial, Tools
from hub.testing import DestinationConformance, Loopback, Reply, make_batch

from isaax_ntfy import Config, Ntfy, isaax_destinations


class TestNtfy(DestinationConformance):
    """It passes the suite."""

    type = isaax_destinations()[0]


async def test_a_notification_says_where_it_comes_from(loopback: Loopback, tools: Tools) -> None:
    ntfy = Ntfy(Config("pumps"), tools)
    await ntfy.send(make_batch("too hot", host="pump-7", programs="thermo", priorities=1))
    (request,) = loopback.requests
    assert request.url == "https://ntfy.sh/"
    assert json.loads(request.body) == {
        "topic": "pumps",
        "title": "thermo on pump-7",
        "message": "too hot",
        "priority": 5,
    }


async def test_a_limit_half_way_brings_back_the_rest(loopback: Loopback, tools: Tools) -> None:
    loopback.script(Reply(), Reply(429, {"Retry-After": "5"}))
    with pytest.raises(Partial) as stopped:
        await Ntfy(Config("pumps"), tools).send(make_batch("one", "two", "three"))
    assert stopped.value.retry == (1, 2)
    assert stopped.value.after == 5
