"""The hosted destinations pass the suite that every destination has to pass."""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hub import structs
from hub.destinations import Destination, DestinationType
from hub.testing import DestinationConformance, Receiver
from plugins.betterstack import isaax_destinations as betterstack
from plugins.datadog import isaax_destinations as datadog
from plugins.elasticsearch import isaax_destinations as elasticsearch
from plugins.loggly import isaax_destinations as loggly
from plugins.loki import isaax_destinations as loki
from plugins.slack import isaax_destinations as slack
from plugins.slack.destination import Slack
from plugins.splunk_hec import isaax_destinations as splunk_hec
from tests.fixtures.http_receivers import (
    TOKEN,
    BetterStackServer,
    DatadogServer,
    LogglyServer,
    SlackServer,
    VendorServer,
    running,
)
from tests.fixtures.index_receivers import ElasticsearchServer, LokiServer, SplunkServer


class _Hosted(DestinationConformance):
    """Gives the server of one service."""

    secrets = (TOKEN,)
    server: ClassVar[Callable[[], VendorServer]]

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give the server, started."""
        async with running(type(self).server()) as server:
            yield server


class TestLoggly(_Hosted):
    """Loggly."""

    type: ClassVar[DestinationType[Any]] = loggly()[0]
    server = LogglyServer


class TestBetterStack(_Hosted):
    """Better Stack."""

    type: ClassVar[DestinationType[Any]] = betterstack()[0]
    server = BetterStackServer


class TestDatadog(_Hosted):
    """Datadog."""

    type: ClassVar[DestinationType[Any]] = datadog()[0]
    server = DatadogServer


class TestLoki(_Hosted):
    """Loki."""

    type: ClassVar[DestinationType[Any]] = loki()[0]
    server = LokiServer


class TestElasticsearch(_Hosted):
    """Elasticsearch; the suite's batches share ids, so it must not know them again."""

    type: ClassVar[DestinationType[Any]] = elasticsearch()[0]
    server = staticmethod(lambda: ElasticsearchServer(remembers=False))


class TestSplunk(_Hosted):
    """Splunk."""

    type: ClassVar[DestinationType[Any]] = splunk_hec()[0]
    server = SplunkServer


class TestSplunkAcknowledged(_Hosted):
    """Splunk, waiting for the indexer."""

    type: ClassVar[DestinationType[Any]] = splunk_hec()[0]
    server = staticmethod(lambda: SplunkServer(acks=True, polls=0, acknowledge=True))


def _without_waits(config: Any, tools: Any) -> Destination:
    hours = count(step=3_600)
    return Slack(config, tools, clock=lambda: float(next(hours)))


class TestSlack(_Hosted):
    """Slack, with a clock that passes the time between messages."""

    type: ClassVar[DestinationType[Any]] = replace(slack()[0], build=_without_waits)
    server = SlackServer


class TestSlackText(_Hosted):
    """Mattermost and Rocket.Chat."""

    type: ClassVar[DestinationType[Any]] = replace(slack()[0], build=_without_waits)
    server = staticmethod(lambda: SlackServer(blocks=False))


class TestLogglyAnswers(DestinationConformance):
    """Loggly, whatever it answers."""

    type: ClassVar[DestinationType[Any]] = loggly()[0]


class TestBetterStackAnswers(DestinationConformance):
    """Better Stack, whatever it answers."""

    type: ClassVar[DestinationType[Any]] = betterstack()[0]


class TestDatadogAnswers(DestinationConformance):
    """Datadog, whatever it answers."""

    type: ClassVar[DestinationType[Any]] = datadog()[0]


class TestLokiAnswers(DestinationConformance):
    """Loki, whatever it answers."""

    type: ClassVar[DestinationType[Any]] = loki()[0]


class TestElasticsearchAnswers(DestinationConformance):
    """Elasticsearch, whatever it answers."""

    type: ClassVar[DestinationType[Any]] = elasticsearch()[0]


class TestSplunkAnswers(DestinationConformance):
    """Splunk, whatever it answers."""

    type: ClassVar[DestinationType[Any]] = splunk_hec()[0]
    config: ClassVar[dict[str, Any]] = {"url": "https://splunk.example.com:8088", "token": TOKEN}


class TestSlackAnswers(DestinationConformance):
    """Slack, whatever it answers."""

    type: ClassVar[DestinationType[Any]] = replace(slack()[0], build=_without_waits)
    config: ClassVar[dict[str, Any]] = {
        "url": f"https://hooks.slack.com/services/T000/B000/{TOKEN}", "rules": [{"name": "all"}],
    }  # fmt: skip


@pytest.mark.parametrize(
    "declared",
    [loggly, betterstack, datadog, loki, elasticsearch, splunk_hec, slack],
    ids=["loggly", "betterstack", "datadog", "loki", "elasticsearch", "splunk_hec", "slack"],
)
def test_the_sample_configs_are_valid(
    declared: Callable[[], list[DestinationType[Any]]],
) -> None:
    """What the READMEs tell to copy can be used."""
    (kind,) = declared()
    sample = Path(inspect.getfile(kind.config)).with_name("sample.json").read_bytes()
    assert isinstance(structs.decode(kind.config, sample), kind.config)
