"""The gateway: serves the routes that plugins declare over HTTP, and owns every convention.

A service declares what it answers (`hub/routes.py`); authentication, decoding, conditional
requests, idempotency, problems, event streams and the OpenAPI document follow from that here.
"""
