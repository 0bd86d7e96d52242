"""The OpenAPI document of what this repository ships."""

import json
from typing import Any

from hub.gateway import answers
from hub.gateway.openapi import describe
from hub.gateway.routing import Declared, build_table
from hub.permissions import Permissions
from hub.plugins import PluginHost


def document() -> dict[str, Any]:
    """Describe the API as a hub with all its own plugins serves it."""
    plugins = PluginHost.load(quiet=True)
    declared = [Declared("isaax", route) for route in plugins.routes]
    table, _ = build_table(declared, Permissions(plugins.permissions.values()))
    described: dict[str, Any] = json.loads(answers.encode(describe(table, version="")))
    return described
