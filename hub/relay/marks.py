"""How far each stream of each device has come: what is durable, and what is on its way.

Pure rules, without I/O. A batch is measured against what was *offered* last, so that a device
may have many batches in flight; it is told what is *durable*.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from hub.protocol import Codec, Header, Mark


class MarkKey(NamedTuple):
    """Names one stream of a device; `stream` is `app`, `sys`, `agent`, or `metric.<type>`."""

    project: str
    device: str
    stream: str


@dataclass(frozen=True, slots=True)
class Store:
    """Store the batch, without its first `skip` sequence numbers: those are known."""

    skip: int


@dataclass(frozen=True, slots=True)
class Known:
    """All of it is known. `durable` is None while it is still on its way."""

    durable: Mark | None


@dataclass(frozen=True, slots=True)
class Hole:
    """Something before it is missing: the device resumes after `mark`."""

    mark: Mark


Verdict = Store | Known | Hole
ZERO: Final = Mark()


class _Entry:
    __slots__ = ("durable", "offered")

    def __init__(self, mark: Mark) -> None:
        self.durable = mark
        self.offered = mark


class MarkTable:
    """The marks of all devices."""

    def __init__(self) -> None:
        self._entries: dict[MarkKey, _Entry] = {}
        self._by_device: dict[tuple[str, str], set[str]] = {}
        self._changed: set[MarkKey] = set()

    def measure(self, key: MarkKey, header: Header) -> Verdict:
        """Decide on a batch, without counting it as on its way."""
        entry = self._entry(key)
        offered = entry.offered
        if header.boot == offered.boot:
            if header.first > offered.seq + 1:
                return Hole(offered)
            if header.last <= offered.seq:
                return self._known(entry, header)
            return Store(offered.seq + 1 - header.first)
        if header.boot < offered.boot:
            return self._known(entry, header)
        return Store(0) if header.first == 1 else Hole(offered)

    def offer(self, key: MarkKey, header: Header) -> Verdict:
        """Decide on a batch; when the verdict is `Store`, the batch counts as on its way."""
        verdict = self.measure(key, header)
        if isinstance(verdict, Store):
            self._entry(key).offered = Mark(header.boot, header.last)
        return verdict

    def offered(self, key: MarkKey) -> Mark:
        """Give the last line that is durable or on its way."""
        return self._entry(key).offered

    def extend(self, key: MarkKey, boot: int, span: int) -> Header:
        """Number what comes next in a stream whose lines the hub itself numbers."""
        entry = self._entry(key)
        first = entry.offered.seq + 1 if entry.offered.boot == boot else 1
        header = Header(Codec.NONE, boot, first, span)
        entry.offered = Mark(boot, header.last)
        return header

    def newest_boot(self, prefix: str) -> int:
        """Give the highest boot of the devices whose ids begin so; 0 when there is none."""
        entries = (e for key, e in self._entries.items() if key.device.startswith(prefix))
        return max((entry.offered.boot for entry in entries), default=0)

    def stored(self, key: MarkKey, mark: Mark) -> Mark:
        """Note that everything up to `mark` is durable; give the durable mark."""
        entry = self._entry(key)
        if mark > entry.durable:
            entry.durable = mark
            self._changed.add(key)
        # What was found in the stream at start was never offered in this process.
        entry.offered = max(entry.offered, mark)
        return entry.durable

    def of_device(self, project: str, device: str) -> dict[str, Mark]:
        """Give the durable mark of each stream of a device that has one."""
        streams = self._by_device.get((project, device), ())
        marks = {s: self._entries[MarkKey(project, device, s)].durable for s in sorted(streams)}
        return {stream: mark for stream, mark in marks.items() if mark != ZERO}

    def forget(self, project: str) -> None:
        """Forget a project, of which nothing comes any more."""
        for key in [key for key in self._entries if key.project == project]:
            del self._entries[key]
            self._changed.discard(key)
            self._by_device.pop((key.project, key.device), None)

    def take_changed(self) -> dict[MarkKey, Mark]:
        """Give the durable marks that changed since the last call."""
        changed, self._changed = self._changed, set()
        return {key: self._entries[key].durable for key in changed}

    def put_back(self, keys: Iterable[MarkKey]) -> None:
        """Count these as changed again: they could not be written down."""
        self._changed.update(key for key in keys if key in self._entries)

    def _known(self, entry: _Entry, header: Header) -> Known:
        durable = entry.durable
        return Known(durable if Mark(header.boot, header.last) <= durable else None)

    def _entry(self, key: MarkKey) -> _Entry:
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(ZERO)
            self._by_device.setdefault((key.project, key.device), set()).add(key.stream)
        return entry
