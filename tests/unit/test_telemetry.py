"""Logs, metrics, readiness and trace context."""

import asyncio
import io
import json
import logging
import warnings

import pytest
import structlog

from hub import telemetry
from hub.secret import Secret
from hub.telemetry import CheckResult, Health, Metrics, TraceContext

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def output() -> io.StringIO:
    """Where logs go."""
    return io.StringIO()


def logged(output: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


# ── trace context ─────────────────────────────────────────────────────────────────────────────


def test_a_traceparent_is_read_and_written() -> None:
    trace = TraceContext.parse(TRACEPARENT)
    assert trace == TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", True)
    assert trace.header == TRACEPARENT


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        TRACEPARENT.upper(),
        TRACEPARENT + "-more",
        TRACEPARENT + "\n",
        "ff" + TRACEPARENT[2:],
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "01" + TRACEPARENT[2:] + "more",
    ],
)
def test_a_broken_traceparent_is_none(header: str | None) -> None:
    assert TraceContext.parse(header) is None


@pytest.mark.parametrize("header", ["cc" + TRACEPARENT[2:], "cc" + TRACEPARENT[2:] + "-later"])
def test_a_later_version_is_read_as_far_as_it_is_known(header: str) -> None:
    trace = TraceContext.parse(header)
    assert trace is not None
    assert trace.header == TRACEPARENT


def test_only_the_sampled_flag_is_carried_on() -> None:
    trace = TraceContext.parse(TRACEPARENT[:-2] + "fe")
    assert trace is not None
    assert trace.header.endswith("-00")


def test_a_trace_is_carried_on_as_a_child() -> None:
    assert telemetry.current_traceparent() is None
    with telemetry.with_traceparent(TRACEPARENT) as trace:
        assert trace.trace_id == "0af7651916cd43dd8448eb211c80319c"
        assert trace.span_id != "b7ad6b7169203331"
        assert telemetry.current_traceparent() == trace.header
        assert telemetry.current_trace() == trace
    assert telemetry.current_traceparent() is None


def test_without_a_traceparent_a_trace_begins() -> None:
    with telemetry.with_traceparent("broken") as trace:
        assert TraceContext.parse(trace.header) == trace


# ── logs ──────────────────────────────────────────────────────────────────────────────────────


def test_a_log_line_is_one_json_object(output: io.StringIO) -> None:
    telemetry.configure(stream=output)
    with telemetry.with_traceparent(TRACEPARENT):
        structlog.get_logger("hub.test").info("two\nlines", count=3, odd="\ud800", what=object)
    (line,) = logged(output)
    assert line["event"] == "two\nlines"
    assert line["count"] == 3
    assert line["level"] == "info"
    assert line["logger"] == "hub.test"
    assert line["trace"] == "0af7651916cd43dd8448eb211c80319c"
    assert str(line["timestamp"]).endswith("Z")


def test_libraries_log_the_same_way(output: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        telemetry.configure(stream=output)
        logging.getLogger("library").warning("to %s", "nats://hub:hunter2@localhost")
        warnings.warn("something is old", stacklevel=1)
    line, warning = logged(output)
    assert line["event"] == f"to nats://{Secret.MASK}@localhost"
    assert "something is old" in str(warning["event"])


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_is_logged(output: io.StringIO, form: str) -> None:
    telemetry.configure(stream=output, format=form)
    log = structlog.get_logger()
    log.info(
        "login",
        password="hunter2",
        config=Secret("hunter2"),
        headers={"Authorization": "hunter2", "deep": [{"api_key": "hunter2"}]},
        deviceKey="hunter2",
        project_token="hunter2",
        address="nats://user:hunter2@localhost",
        token_id="tok_shown",
        key_file="vault.key",
    )
    hidden = "hunter2"
    try:
        raise ValueError(f"postgres://isaax:{hidden}@localhost does not answer")
    except ValueError:
        log.exception("failed")
    text = output.getvalue()
    assert "hunter2" not in text
    assert "tok_shown" in text
    assert "vault.key" in text
    assert "does not answer" in text


def test_the_level_is_kept(output: io.StringIO) -> None:
    telemetry.configure(stream=output, level="warning")
    structlog.get_logger().info("no")
    logging.getLogger("library").info("no")
    structlog.get_logger().warning("yes")
    assert [line["event"] for line in logged(output)] == ["yes"]


def test_a_message_neither_begins_a_line_nor_commands_the_terminal(output: io.StringIO) -> None:
    telemetry.configure(stream=output, format="console")
    structlog.get_logger().info("a\nb\x1b[2Jc\u202e", value="d\ne")
    assert len(output.getvalue().splitlines()) == 1
    assert "\x1b" not in output.getvalue()


def test_what_refers_to_itself_is_cut_off() -> None:
    loop: dict[str, object] = {}
    loop["loop"] = loop
    assert "…" in str(telemetry.redact(loop))


# ── metrics ───────────────────────────────────────────────────────────────────────────────────


def test_metrics_are_rendered() -> None:
    metrics = Metrics()
    metrics.counter("isaax_lines_total", "Lines.", ("stream",)).labels("app").inc(3)
    metrics.gauge("isaax_lag_seconds", "Lag.").set(1.5)
    metrics.histogram("isaax_send_seconds", "Sends.", buckets=(1.0, 2.0)).observe(1.5)
    text = metrics.render().decode()
    assert 'isaax_lines_total{stream="app"} 3.0' in text
    assert "isaax_lag_seconds 1.5" in text
    assert 'isaax_send_seconds_bucket{le="2.0"} 1.0' in text
    assert "process_resident_memory_bytes" in text


def test_a_metric_is_shared_by_name() -> None:
    metrics = Metrics()
    metrics.counter("isaax_x_total", "X.").inc()
    metrics.counter("isaax_x_total", "X.").inc()
    assert b"isaax_x_total 2.0" in metrics.render()
    with pytest.raises(ValueError, match="isaax_x_total is a Counter"):
        metrics.gauge("isaax_x_total", "X.")


def test_two_processes_share_no_metric() -> None:
    Metrics().counter("isaax_x_total", "X.").inc()
    assert b"isaax_x_total" not in Metrics().render()


# ── readiness ─────────────────────────────────────────────────────────────────────────────────


async def test_health_says_what_is_wrong() -> None:
    async def good() -> None:
        pass

    async def bad() -> None:
        raise ConnectionError("postgres://isaax:hunter2@localhost refused")

    async def silent() -> None:
        raise RuntimeError

    async def stuck() -> None:
        await asyncio.Event().wait()

    health = Health(timeout=0.01)
    with (
        health.add("d-stuck", stuck),
        health.add("b-bad", bad),
        health.add("a-good", good),
        health.add("c-silent", silent),
    ):
        assert await health.check() == [
            CheckResult("a-good", True),
            CheckResult("b-bad", False, f"postgres://{Secret.MASK}@localhost refused"),
            CheckResult("c-silent", False, "RuntimeError"),
            CheckResult("d-stuck", False, "no answer within 0.01 s"),
        ]
    assert await health.check() == []


async def test_a_check_has_a_name_of_its_own() -> None:
    async def good() -> None:
        pass

    health = Health()
    with (
        health.add("x", good),
        pytest.raises(ValueError, match="there is a check named x"),
        health.add("x", good),
    ):
        pass
    assert await health.check() == []


async def test_a_check_is_shared_while_it_runs_and_reused_for_a_while() -> None:
    runs: list[int] = []
    begun, go = asyncio.Event(), asyncio.Event()

    async def check() -> None:
        runs.append(1)
        begun.set()
        await go.wait()

    health = Health(reuse=3600.0)
    with health.add("x", check):
        first, second = (asyncio.create_task(health.check()) for _ in range(2))
        await begun.wait()
        first.cancel()
        go.set()
        assert await second == [CheckResult("x", True)]
        assert await health.check() == [CheckResult("x", True)]
    assert len(runs) == 1
    fresh = Health()
    with fresh.add("x", check):
        await fresh.check()
        await fresh.check()
    assert len(runs) == 3
