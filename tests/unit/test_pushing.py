"""What a service that sends devices something hears of them."""

from typing import Any

from hub.downlink import DeviceReport
from hub.protocol import ProgramReport, Session, State
from hub.pushing import Reports


async def test_reports_of_something_else_take_no_transaction() -> None:
    """Each device says how its app fares every few seconds, to all who hear reports."""
    nothing: Any = None
    reports = Reports(nothing, "envars", nothing, nothing)
    where = Session("prj_1", "dev_1", "s")
    programs = State(programs={"app": ProgramReport("running")})
    others = [DeviceReport(where, one) for one in (programs, State({"scripts": 3}))]
    assert await reports.heard(others) is None  # type: ignore[func-returns-value]
