"""Fixtures for tests of plugins: `pytest_plugins = ["hub.testing.fixtures"]` in a conftest.py."""

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from hub.batches import Batch, MetricBatch
from hub.destinations import Tools
from hub.testing import batches
from hub.testing.loopback import Loopback


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """Make a batch of lines: `make_batch("one", "two")`."""
    return batches.make_batch


@pytest.fixture
def make_metric_batch() -> Callable[..., MetricBatch]:
    """Make a batch of samples: `make_metric_batch(1.5, 2.5, names="cpu_percent")`."""
    return batches.make_metric_batch


@pytest_asyncio.fixture
async def loopback() -> AsyncIterator[Loopback]:
    """A server that stands for any destination; see `Loopback`."""
    async with Loopback.start() as server:
        yield server


@pytest_asyncio.fixture
async def tools(loopback: Loopback) -> AsyncIterator[Tools]:
    """The tools of a destination; whatever they are asked to reach, it is `loopback`."""
    async with loopback.tools() as handed:
        yield handed
