"""What the agent says of itself and of the system that it runs on."""

import functools
import importlib.metadata
import ipaddress
import platform
import socket

import psutil

MAX_ADDRESSES = 8


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


def addresses() -> list[str]:
    """Give the IP addresses by which others may reach this device: IPv4 first, 8 at most."""
    found: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = []
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    for name, ours in psutil.net_if_addrs().items():
        if name in up:
            found += [
                ipaddress.ip_address(one.address.partition("%")[0])
                for one in ours
                if one.family in {socket.AF_INET, socket.AF_INET6}
            ]
    told = [one for one in found if not (one.is_loopback or one.is_link_local)]
    return [str(one) for one in sorted(told, key=lambda one: (one.version, one))[:MAX_ADDRESSES]]
