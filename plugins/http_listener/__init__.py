"""A source: lines and OpenTelemetry logs over HTTP, with a project's token."""

from hub import ConfigSection, Service, hookimpl
from plugins.http_listener.config import HttpListenerSettings
from plugins.http_listener.service import http_listener


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [Service("http_listener", http_listener, needs=("relay", "projects"), drain=30.0)]


@hookimpl
def isaax_config() -> list[ConfigSection]:
    """Declare `[http_listener]`."""
    return [ConfigSection("http_listener", HttpListenerSettings)]
