"""Where mails are shown that do not leave, because no mail server is configured."""

import ipaddress
from typing import Final

from hub.settings import HttpSettings, reachable

PATH: Final = "/outbox"


def local_outbox(http: HttpSettings) -> str:
    """Give the address of the page; "" where the gateway does not listen on the loopback.

    Only there a request is known to come from this very machine.
    """
    host = reachable(http.host)
    try:
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            return ""
    except ValueError:
        return ""
    return http.origin_at(host) + PATH
