"""What the agent says of itself and of the system that it runs on."""

import functools
import importlib.metadata
import platform
import socket


@functools.cache
def agent_version() -> str:
    """Give the agent's name and version, as `isaax-agent/0.1.0`."""
    try:
        return f"isaax-agent/{importlib.metadata.version('isaax')}"
    except importlib.metadata.PackageNotFoundError:  # run from a copy of the sources
        return "isaax-agent/unknown"


@functools.cache
def system_name() -> str:
    """Give distribution, kernel and machine, as `Debian GNU/Linux 12, Linux 6.1.0, aarch64`."""
    try:
        distribution = platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    except OSError:
        distribution = "unknown"
    return f"{distribution}, {platform.system()} {platform.release()}, {platform.machine()}"


def host_name() -> str:
    """Give the host name, which is a new device's first label."""
    return socket.gethostname()
