"""Writes the typed client from the API's own OpenAPI document.

`python -m hub.client.generator` writes `hub/client/api.py` and `hub/client/structs.py`; a test
holds them to what the routes declare. Nothing here is imported by the client.
"""

from hub.client.generator.modules import modules

__all__ = ["modules"]
