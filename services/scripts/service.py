"""The service `scripts`: what projects run at certain moments."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def scripts() -> AsyncIterator[None]:
    """Run the service."""
    yield
