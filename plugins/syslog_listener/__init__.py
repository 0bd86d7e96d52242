"""A source: syslog over UDP, TCP and TLS, from whatever speaks RFC 5424 or RFC 3164."""

from hub import ConfigSection, Service, hookimpl
from plugins.syslog_listener.config import SyslogListenerSettings
from plugins.syslog_listener.service import syslog_listener


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [Service("syslog_listener", syslog_listener, needs=("relay", "projects"), drain=15.0)]


@hookimpl
def isaax_config() -> list[ConfigSection]:
    """Declare `[syslog_listener]`."""
    return [ConfigSection("syslog_listener", SyslogListenerSettings)]
