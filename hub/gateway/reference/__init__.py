"""`/docs`: the reference of the API for people, made of the routes' own declarations."""

from hub.gateway.reference.site import Reference

__all__ = ["Reference"]
