"""The e-mail destination passes the suite that we give to every author."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from hub.destinations import DestinationType
from hub.testing import DestinationConformance, Receiver
from plugins.email import isaax_destinations as email
from tests.fixtures.certificates import Pair, TestAuthority
from tests.fixtures.destinations import server_tls
from tests.fixtures.mail import mail_server


class TestEmailStarttls(DestinationConformance):
    """Over STARTTLS, logged in, with a rule that matches everything."""

    type: ClassVar[DestinationType[Any]] = email()[0]
    secrets = ("hush-hush",)

    @pytest.fixture(autouse=True)
    def _certificates(self, authority: TestAuthority, local_certificate: Pair) -> None:
        self.authority = authority
        self.tls = server_tls(local_certificate)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give a mail server."""
        async with mail_server(
            self.tls,
            user=("alerts", "hush-hush"),
            tls="starttls",
            username="alerts",
            password="hush-hush",
            ca=self.authority.pem,
        ) as server:
            yield server
