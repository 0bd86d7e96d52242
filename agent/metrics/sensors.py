"""What can be read of a device, by type; docs/metrics.md lists it for people.

Each sensor is asked anew for each collection. What a device does not have (temperatures, swap) is
left out; what fails is the collector's to say.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Final

import psutil

from agent.metrics.processes import Processes
from agent.metrics.readings import Reading, counter, gauge

Sensor = Callable[[], list[Reading]]

MOST: Final = 32  # mounts, disks, interfaces or temperatures of one device
MOST_CPUS: Final = 16  # above that, one series a mode for all of them
_MODES: Final = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_PSEUDO_DISKS: Final = ("loop", "ram", "zram", "sr", "fd")
_PSEUDO_INTERFACES: Final = ("lo", "veth")


def sensors(*, processes: int) -> Mapping[str, Sensor]:
    """Give one sensor for each type.

    Args:
        processes: programs that `ps` tells of: so many by processor, and so many by memory.
    """
    return {
        "device": device,
        "cpu": Cpu().read,
        "memory": memory,
        "disk": disk,
        "network": network,
        "ps": Processes(processes).read,
    }


def device() -> list[Reading]:
    """Read uptime, load, temperatures, and what the agent itself takes."""
    load = os.getloadavg()
    agent = psutil.Process()
    used = agent.cpu_times()
    readings = [
        gauge("device_uptime_seconds", time.time() - psutil.boot_time()),
        *(gauge(f"device_load{n}", value) for n, value in zip((1, 5, 15), load, strict=True)),
        gauge("device_processes", len(psutil.pids())),
        gauge("agent_memory_bytes", agent.memory_info().rss),
        counter("agent_cpu_seconds", used.user + used.system),
    ]
    battery = psutil.sensors_battery()  # type: ignore[no-untyped-call, unused-ignore]
    if battery is not None:
        readings.append(gauge("device_battery_ratio", battery.percent / 100))
    found = [
        gauge("device_temperature_celsius", one.current, chip=chip, sensor=one.label or str(n))
        for chip, entries in psutil.sensors_temperatures().items()
        for n, one in enumerate(entries)
        if one.current is not None
    ]
    return readings + found[:MOST]


class Cpu:
    """Processor time; the share in use is that since the last reading."""

    def __init__(self) -> None:
        self._before: tuple[float, float] | None = None

    def read(self) -> list[Reading]:
        """Read the processors."""
        each = psutil.cpu_times(percpu=True)
        named = {str(n): times for n, times in enumerate(each)}
        if len(each) > MOST_CPUS:
            named = {"all": psutil.cpu_times()}
        readings = [
            counter("cpu_seconds", getattr(times, mode), cpu=name, mode=mode)
            for name, times in named.items()
            for mode in _MODES
            if hasattr(times, mode)
        ]
        total = sum(sum(getattr(t, mode, 0.0) for mode in _MODES) for t in each)
        idle = sum(t.idle + getattr(t, "iowait", 0.0) for t in each)
        if self._before is not None and total > self._before[0]:
            waited = (idle - self._before[1]) / (total - self._before[0])
            readings.append(gauge("cpu_usage_ratio", min(1.0, max(0.0, 1 - waited))))
        self._before = (total, idle)
        frequency = psutil.cpu_freq()
        if frequency is not None and frequency.current:
            readings.append(gauge("cpu_frequency_hertz", frequency.current * 1e6))
        return [gauge("cpu_count", len(each)), *readings]


def memory() -> list[Reading]:
    """Read memory and swap."""
    real, swap = psutil.virtual_memory(), psutil.swap_memory()
    readings = [
        gauge("memory_total_bytes", real.total),
        gauge("memory_available_bytes", real.available),
        gauge("memory_used_bytes", real.total - real.available),
        gauge("memory_cached_bytes", real.cached),
        gauge("memory_usage_ratio", 1 - real.available / real.total),
    ]
    if swap.total:
        readings += [
            gauge("swap_total_bytes", swap.total),
            gauge("swap_used_bytes", swap.used),
            counter("swap_in_bytes", swap.sin),
            counter("swap_out_bytes", swap.sout),
        ]
    return readings


def disk() -> list[Reading]:
    """Read how full file systems are, and what disks read and write."""
    readings = [reading for mount in _mounts() for reading in _usage(mount)]
    moved = psutil.disk_io_counters(perdisk=True) or {}
    names = [name for name in sorted(moved) if not name.startswith(_PSEUDO_DISKS)]
    for name in names[:MOST]:
        one = moved[name]
        readings += [
            counter("disk_read_bytes", one.read_bytes, disk=name),
            counter("disk_written_bytes", one.write_bytes, disk=name),
            counter("disk_reads", one.read_count, disk=name),
            counter("disk_writes", one.write_count, disk=name),
        ]
    return readings


def network() -> list[Reading]:
    """Read what interfaces took and sent."""
    states = psutil.net_if_stats()
    moved = psutil.net_io_counters(pernic=True)
    names = [name for name in sorted(moved) if not name.startswith(_PSEUDO_INTERFACES)]
    readings = []
    for name in names[:MOST]:
        one, state = moved[name], states.get(name)
        readings += [
            counter("network_receive_bytes", one.bytes_recv, interface=name),
            counter("network_transmit_bytes", one.bytes_sent, interface=name),
            counter("network_receive_packets", one.packets_recv, interface=name),
            counter("network_transmit_packets", one.packets_sent, interface=name),
            counter("network_errors", one.errin + one.errout, interface=name),
            counter("network_drops", one.dropin + one.dropout, interface=name),
        ]
        if state is not None:
            readings.append(gauge("network_up", float(state.isup), interface=name))
    return readings


def _mounts() -> list[str]:
    """Give one mount of each real file system, and the root in any case.

    psutil leaves out what has no disk behind it: a dead NFS server makes nobody wait.
    """
    mounts: dict[str, str] = {}
    for partition in psutil.disk_partitions(all=False):
        known = mounts.get(partition.device)
        if known is None or len(partition.mountpoint) < len(known):
            mounts[partition.device] = partition.mountpoint
    found = sorted({path for path in mounts.values() if os.path.isdir(path)} | {"/"})
    return found[:MOST]


def _usage(mount: str) -> list[Reading]:
    try:
        usage = psutil.disk_usage(mount)
    except OSError:  # it was unmounted meanwhile, or is a card that is not there
        return []
    if not usage.total:
        return []
    return [
        gauge("disk_total_bytes", usage.total, mount=mount),
        gauge("disk_used_bytes", usage.used, mount=mount),
        gauge("disk_available_bytes", usage.free, mount=mount),
        gauge("disk_usage_ratio", usage.percent / 100, mount=mount),
    ]
