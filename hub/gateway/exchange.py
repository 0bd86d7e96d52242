"""What is known of one request while it is served, and how its answer leaves."""

import uuid
from typing import Final

import msgspec
from aiohttp import hdrs, web
from multidict import CIMultiDict

from hub.gateway.answers import Answer
from hub.gateway.authentication import ANYONE
from hub.routes import Caller, Client


class Exchange(msgspec.Struct):
    """One request and its answer, for the log.

    Args:
        id: given by us; `X-Request-Id` of the answer, `instance` of a problem.
        client: where it came from.
        caller: who asked, once that is known.
        headers: of the answer, whatever it will be.
    """

    id: str
    client: Client
    caller: Caller = ANYONE
    headers: dict[str, str] = {}


_EXCHANGE: Final = web.RequestKey("exchange", Exchange)


def begin(request: web.Request, client: Client) -> Exchange:
    """Give a request its id."""
    exchange = request[_EXCHANGE] = Exchange(str(uuid.uuid4()), client)
    return exchange


def exchange_of(request: web.Request) -> Exchange:
    """Give what `begin` made."""
    return request[_EXCHANGE]


def to_response(answer: Answer) -> web.Response:
    """Make aiohttp's response of an answer."""
    headers = CIMultiDict(answer.headers)
    for cookie in answer.cookies:
        headers.add(hdrs.SET_COOKIE, cookie)
    response = web.Response(status=answer.status, headers=headers, body=answer.body or None)
    if answer.close:
        response.force_close()
    return response
