"""The OpenAPI 3.1 description of the API, made of the routes' own types."""

from hub.gateway.openapi.document import describe

__all__ = ["describe"]
