"""What the process tells about itself: logs, metrics, readiness and the trace it works for.

Nothing here is set up by importing it: `configure` is called once at process start, and the
process owns its `Metrics` and its `Health`.
"""

import asyncio
import contextvars
import functools
import json
import logging
import random
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any, Final, TextIO, TypeVar

import msgspec
import prometheus_client as prometheus
import structlog
from prometheus_client import Counter, Gauge, Histogram

from hub.secret import Secret

M = TypeVar("M", Counter, Gauge, Histogram)

# ── trace context: W3C Trace Context, https://www.w3.org/TR/trace-context/ ────────────────────

# Section 3.2: version, trace-id, parent-id, trace-flags; a later version may go on after "-".
_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?"
)
_SAMPLED: Final = 0x01


class TraceContext(msgspec.Struct, frozen=True):
    """Which trace this work belongs to.

    Args:
        trace_id: 32 hex digits, the same over the whole journey.
        span_id: 16 hex digits, of this process's part of it.
        sampled: somebody records this trace.
    """

    trace_id: str
    span_id: str
    sampled: bool = True

    @classmethod
    def new(cls) -> "TraceContext":
        """Begin a trace."""
        return cls(_random_hex(16), _random_hex(8))

    @classmethod
    def parse(cls, header: str | None) -> "TraceContext | None":
        """Read a `traceparent`; None when it is absent or not valid (sections 3.2 and 4.3)."""
        match = _TRACEPARENT.fullmatch(header or "")
        if match is None or match["version"] == "ff":
            return None
        if match["version"] == "00" and match["rest"] is not None:
            return None
        if not match["trace"].strip("0") or not match["parent"].strip("0"):
            return None
        return cls(match["trace"], match["parent"], bool(int(match["flags"], 16) & _SAMPLED))

    def child(self) -> "TraceContext":
        """Begin a part of the same trace."""
        return TraceContext(self.trace_id, _random_hex(8), self.sampled)

    @property
    def header(self) -> str:
        """The `traceparent` to send along, in version 00."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


_trace: contextvars.ContextVar[TraceContext | None] = contextvars.ContextVar("trace", default=None)


def current_trace() -> TraceContext | None:
    """Give the trace that the running task works for."""
    return _trace.get()


def current_traceparent() -> str | None:
    """Give the `traceparent` to send along with what the running task asks of others."""
    trace = _trace.get()
    return trace.header if trace else None


@contextmanager
def with_traceparent(header: str | None) -> Iterator[TraceContext]:
    """Work for the trace that came along, or begin one when none (or a broken one) did."""
    parent = TraceContext.parse(header)
    trace = parent.child() if parent else TraceContext.new()
    token = _trace.set(trace)
    try:
        yield trace
    finally:
        _trace.reset(token)


def _random_hex(size: int) -> str:
    """Give `size` random bytes in hex, never all zero (which the format forbids).

    They name a trace, and open nothing: they need not be secret.
    """
    while not (number := random.getrandbits(8 * size)):
        pass
    return f"{number:0{2 * size}x}"


# ── logs ──────────────────────────────────────────────────────────────────────────────────────

_SECRET_KEY = re.compile(
    r"(?i)passw(or)?d|secret|authori[sz]ation|cookie|credential|proof|(^|[_.-])token$|[_.-]?api[_-]?key|"
    r"(private|device|signing|access|encryption)[_-]?key$|(device|private)Key$|projectToken$"
)
_NOT_SECRET_KEY = re.compile(r"(?i)(_id|_file|_path|_count|_name)$")
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^\s/@]*@")
_MAX_DEPTH: Final = 8

Event = MutableMapping[str, Any]


def redact(value: Any, *, depth: int = 0) -> Any:
    """Give the value without secrets: `Secret`, values of keys that name one, URL userinfo."""
    if isinstance(value, Secret):
        return Secret.MASK
    if isinstance(value, str):
        return _USERINFO.sub(rf"\g<scheme>{Secret.MASK}@", value) if "://" in value else value
    if depth == _MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {
            str(key): Secret.MASK
            if item and looks_secret(str(key))
            else redact(item, depth=depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, depth=depth + 1) for item in value]
    return value


@functools.lru_cache(maxsize=4096)
def looks_secret(key: str) -> bool:
    """Say whether a key names a secret: `password`, `api_key`, `device_key`, but not `token_id`."""
    return bool(_SECRET_KEY.search(key)) and not _NOT_SECRET_KEY.search(key)


def configure(
    *,
    level: str = "info",
    format: str = "json",  # noqa: A002
    stream: TextIO | None = None,
) -> None:
    """Send all logs, those of libraries too, to one stream. Called once, at process start.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        format: `json`, one object a line, or `console`, for people.
        stream: standard error unless said.
    """
    output = stream or sys.stderr
    line = _json_line if format == "json" else _console_line(colors=output.isatty())
    told: list[Callable[[Any, str, Event], Any]] = [
        _add_trace,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,  # the plain form: it shows no local variables
        _redact,
    ]
    merge, add_level = structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level
    # Our own lines, of which there is one for each request, take no way through `logging`.
    structlog.configure(
        processors=[merge, _add_name, add_level, *told, line],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=functools.partial(_Lines, output),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[merge, structlog.stdlib.add_logger_name, add_level, *told],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, line],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)


class _Lines:
    """Writes lines to a stream; what structlog wraps.

    Args:
        name: of who logs; nothing for who does not say.
    """

    def __init__(self, stream: TextIO, name: str = "root") -> None:
        self.name = name
        self._stream = stream

    def msg(self, line: str) -> None:
        """Write one; when that fails there is nobody who could be told."""
        with suppress(OSError, ValueError):
            self._stream.write(f"{line}\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


def _add_name(logger: Any, _method: str, event: Event) -> Event:
    event["logger"] = logger.name
    return event


def _add_trace(_logger: Any, _method: str, event: Event) -> Event:
    trace = _trace.get()
    if trace:
        event.setdefault("trace", trace.trace_id)
    return event


def _redact(_logger: Any, _method: str, event: Event) -> Event:
    # structlog's own keys begin with an underscore and are taken out before anything is written.
    return {
        key: value
        if key.startswith("_")
        else Secret.MASK
        if value and looks_secret(key)
        else redact(value, depth=1)
        for key, value in event.items()
    }


def _json_line(_logger: Any, _method: str, event: Event) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=repr).decode()
    except (TypeError, ValueError):  # half a surrogate pair, or a key that is no text
        return json.dumps(event, default=repr)


def _console_line(*, colors: bool) -> Callable[[Any, str, Event], str]:
    render = structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback
    )

    def line(logger: Any, method: str, event: Event) -> str:
        # A message from outside may neither begin a line of its own nor command the terminal.
        event["event"] = _printable(str(event.get("event", "")))
        return render(logger, method, event)

    return line


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


# ── metrics ───────────────────────────────────────────────────────────────────────────────────


class Metrics:
    """The process's metrics, in the exposition format of Prometheus.

    Asking twice for the same name gives the same metric, so that two instances of a part share it.
    """

    CONTENT_TYPE: Final = prometheus.CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = prometheus.CollectorRegistry(auto_describe=True)
        self._known: dict[str, Counter | Gauge | Histogram] = {}
        prometheus.ProcessCollector(registry=self._registry)
        prometheus.PlatformCollector(registry=self._registry)

    def counter(self, name: str, help: str, labels: tuple[str, ...] = ()) -> Counter:  # noqa: A002
        """Give a number that only grows.

        Args:
            name: `isaax_<part>_<what>_total`.
            labels: names of its labels; their values must be few.

        Raises:
            ValueError: the name is taken by another kind of metric, or is not well formed.
        """
        return self._same_or_new(
            name, Counter, lambda: Counter(name, help, labels, registry=self._registry)
        )

    def gauge(self, name: str, help: str, labels: tuple[str, ...] = ()) -> Gauge:  # noqa: A002
        """Give a number that goes up and down; as `counter`."""
        return self._same_or_new(
            name, Gauge, lambda: Gauge(name, help, labels, registry=self._registry)
        )

    def histogram(
        self,
        name: str,
        help: str,  # noqa: A002
        labels: tuple[str, ...] = (),
        *,
        buckets: tuple[float, ...] = Histogram.DEFAULT_BUCKETS,
    ) -> Histogram:
        """Give a distribution; as `counter`.

        Args:
            buckets: upper bounds, rising.
        """
        return self._same_or_new(
            name,
            Histogram,
            lambda: Histogram(name, help, labels, buckets=buckets, registry=self._registry),
        )

    def render(self) -> bytes:
        """Give all of them as text, for `CONTENT_TYPE`."""
        return prometheus.generate_latest(self._registry)

    def _same_or_new(self, name: str, kind: type[M], make: Callable[[], M]) -> M:
        known = self._known.get(name)
        if known is None:
            made = self._known[name] = make()
            return made
        if not isinstance(known, kind):
            raise ValueError(f"metric {name} is a {type(known).__name__}")  # noqa: TRY004
        return known


# ── readiness ─────────────────────────────────────────────────────────────────────────────────


class CheckResult(msgspec.Struct, frozen=True):
    """What one check came to; `detail` says why not, in words without secrets."""

    name: str
    ok: bool
    detail: str = ""


class Health:
    """Readiness that means it: each part adds a check that does a small piece of its real work.

    Args:
        timeout: seconds after which a check that has not answered counts as failed.
        reuse: seconds for which a result is given again, so that asking often costs little. A
            check never runs twice at once.
    """

    def __init__(self, *, timeout: float = 3.0, reuse: float = 0.0) -> None:
        self._timeout = timeout
        self._reuse = reuse
        self._checks: dict[str, _Check] = {}

    @contextmanager
    def add(self, name: str, check: Callable[[], Awaitable[None]]) -> Iterator[None]:
        """Run this check, as long as the context is open, whenever readiness is asked for.

        Args:
            name: shown with the result.
            check: returns when all is well, and raises what is wrong.

        Raises:
            ValueError: there is a check of this name.
        """
        if name in self._checks:
            raise ValueError(f"there is a check named {name}")
        self._checks[name] = _Check(name, check, self._timeout, self._reuse)
        try:
            yield
        finally:
            del self._checks[name]

    async def check(self) -> list[CheckResult]:
        """Run all checks at once, and give what each came to, by name."""
        checks = [self._checks[name] for name in sorted(self._checks)]
        return list(await asyncio.gather(*(check.result() for check in checks)))


class _Check:
    def __init__(
        self, name: str, check: Callable[[], Awaitable[None]], timeout: float, reuse: float
    ) -> None:
        self._name = name
        self._check = check
        self._timeout = timeout
        self._reuse = reuse
        self._last: asyncio.Task[CheckResult] | None = None
        self._stale_at = 0.0

    async def result(self) -> CheckResult:
        """Give what the check comes to now, or came to just before."""
        now = asyncio.get_running_loop().time()
        if self._last is None or (self._last.done() and now >= self._stale_at):
            self._last = asyncio.create_task(self._run(), name=f"health check {self._name}")
        # Others may wait for the same run: one who goes away must not cancel it.
        return await asyncio.shield(self._last)

    async def _run(self) -> CheckResult:
        try:
            async with asyncio.timeout(self._timeout):
                await self._check()
        except TimeoutError:
            return CheckResult(self._name, False, f"no answer within {self._timeout:g} s")
        except Exception as error:  # noqa: BLE001 - whatever is wrong there is the result
            return CheckResult(self._name, False, redact(str(error)) or type(error).__name__)
        else:
            return CheckResult(self._name, True)
        finally:
            self._stale_at = asyncio.get_running_loop().time() + self._reuse
