"""What a handler answers becomes an HTTP answer: status, headers and bytes."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from hub.errors import IsaaxError
from hub.gateway import problems
from hub.gateway.authentication import HOST_PREFIX
from hub.gateway.conditional import Conditions, etag, etag_of_content
from hub.gateway.decoding import parse_query
from hub.gateway.media import JSON
from hub.routes import Cookie, Reply
from hub.secret import Secret

_SAFE_IN_LOCATION: Final = "/:@!$&'()*+,;=?-._~%"


class Answer(msgspec.Struct, frozen=True):
    """A whole answer, ready to be sent, or to be kept for a retry.

    Args:
        cookies: values of its headers `Set-Cookie`.
    """

    status: int
    headers: dict[str, str]
    body: bytes = b""
    close: bool = False
    cookies: tuple[str, ...] = ()


def of_reply(
    reply: Reply,
    status: int,
    *,
    path: str,
    query: str,
    conditions: Conditions | None,
    media: str = "",
    secure: bool = False,
) -> Answer:
    """Turn a handler's reply into an answer.

    Args:
        status: of success, as the route says.
        path, query: of the request, percent-encoded, for the link to the next page.
        conditions: of a read; None for a change, whose handler applies `If-Match` itself.
        media: of the reply's text, if it is one.
        secure: the client asks over TLS, which is what its cookies are bound to then.

    Raises:
        PreconditionFailed: by the conditions.
        TypeError: what was made (201) does not say where it is.
    """
    answer = _of_reply(reply, reply.status or status, path, query, conditions, media)
    cookies = tuple(_set_cookie(cookie, secure=secure) for cookie in reply.cookies)
    return msgspec.structs.replace(answer, cookies=cookies) if cookies else answer


def _of_reply(
    reply: Reply, status: int, path: str, query: str, conditions: Conditions | None, media: str
) -> Answer:
    headers = dict(reply.headers)
    if reply.version is not None:
        headers["ETag"] = etag(reply.version)
        if conditions and conditions.not_modified(reply.version) and not reply.live:
            return Answer(304, headers)
    if reply.location is not None:
        headers["Location"] = quote(reply.location, safe=_SAFE_IN_LOCATION)
    elif status == HTTPStatus.CREATED:
        raise TypeError("an answer of 201 has a location")
    if reply.next is not None:
        headers["Link"] = f'<{_next_page(path, query, reply.next)}>; rel="next"'
    if reply.text is not None:
        return Answer(status, {**headers, "Content-Type": media}, reply.text.encode())
    if reply.body is None:
        return Answer(204 if status == 200 else status, headers)
    answer = of_json(reply.body, status, headers)
    if conditions is None or reply.version is not None:
        return answer
    content = etag_of_content(answer.body)
    answer.headers["ETag"] = f'W/"{content}"'
    return _not_modified(answer) if conditions.not_modified_content(content) else answer


def _not_modified(answer: Answer) -> Answer:
    headers = {name: text for name, text in answer.headers.items() if name != "Content-Type"}
    return Answer(304, headers)


def of_json(
    body: Any, status: int = 200, headers: Mapping[str, str] | None = None, media: str = JSON
) -> Answer:
    """Answer with JSON; secrets in it are masked."""
    return Answer(status, {**(headers or {}), "Content-Type": media}, encode(body))


def encode(body: Any) -> bytes:
    """Write JSON; a secret in it is masked."""
    return msgspec.json.encode(body, enc_hook=_masked)


def _masked(value: object) -> object:
    if isinstance(value, Secret):
        return Secret.MASK if value else ""
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def of_error(error: IsaaxError, request_id: str) -> Answer:
    """Answer with a problem document."""
    problem = problems.problem_of(error, request_id)
    return Answer(
        problem.status,
        {**problems.headers_of(error), "Content-Type": problems.MEDIA_TYPE},
        msgspec.json.encode(problem),
        problems.closes_connection(error),
    )


def _set_cookie(cookie: Cookie, *, secure: bool) -> str:
    """Write a cookie that no script can read and no other site makes a browser change with."""
    age = 0 if not cookie.value else cookie.max_age
    parts = [
        f"{HOST_PREFIX if secure else ''}{cookie.name}={cookie.value}",
        "Path=/",
        "HttpOnly",
        "SameSite=Lax",
        *(["Secure"] if secure else []),
        *([f"Max-Age={age}"] if age is not None else []),
    ]
    return "; ".join(parts)


def _next_page(path: str, query: str, cursor: str) -> str:
    """Give the path of the next page, with every other parameter as it was (RFC 8288)."""
    others = [(name, value) for name, value in parse_query(query) if name != "cursor"]
    return f"{path}?{urlencode([*others, ('cursor', cursor)])}"
