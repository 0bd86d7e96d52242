"""How an operation is authenticated: a token in a header, or a page's cookie with its guard."""

from collections.abc import Iterable

from hub.gateway import forgery
from hub.gateway.authentication import HOST_PREFIX
from hub.gateway.openapi.schemas import JsonObject
from hub.gateway.routing import AnyRoute

_GUARD = "csrf"


class Securities:
    """The ways to authenticate; `components` describes each, `of` names those of a route.

    Args:
        schemes: of `Authorization`.
        cookies: that may hold a credential instead, by their names without `__Host-`.
    """

    def __init__(self, schemes: Iterable[str], cookies: Iterable[str]) -> None:
        self._schemes = [scheme.lower() for scheme in schemes]
        self._cookies = list(cookies)
        self.components: JsonObject = {
            **{scheme: _header(scheme) for scheme in self._schemes},
            **{cookie: _cookie(cookie) for cookie in self._cookies},
            **({_GUARD: _guard()} if self._cookies else {}),
        }

    def of(self, route: AnyRoute) -> list[JsonObject]:
        """Give the ways to authenticate for a route; any of them will do.

        Of a scheme without scopes of its own, the list names the roles that are asked for.
        """
        if route.permission is None:
            return []
        asked = [route.permission]
        guard = {} if route.method in forgery.SAFE else {_GUARD: asked}
        tokens: list[JsonObject] = [{one: asked} for one in self._schemes]
        return tokens + [{one: asked, **guard} for one in self._cookies]


def _header(scheme: str) -> JsonObject:
    return {
        "type": "http",
        "scheme": scheme,
        "description": f"`Authorization: {scheme.capitalize()} …`; operations name the permission "
        "that they ask for, which a token's scopes may leave out.",
    }


def _cookie(name: str) -> JsonObject:
    return {
        "type": "apiKey",
        "in": "cookie",
        "name": f"{HOST_PREFIX}{name}",
        "description": "A person's session, in a browser; over plain HTTP its name has no "
        f"`{HOST_PREFIX}`.",
    }


def _guard() -> JsonObject:
    return {
        "type": "apiKey",
        "in": "header",
        "name": forgery.HEADER,
        "description": "Goes with a change that is authenticated by a cookie, and is known to the "
        "hub's own pages alone.",
    }
