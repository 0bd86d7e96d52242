"""How this process handles memory: settings of the C library and of the garbage collector.

By default glibc gives every buffer of more than 128 KiB back to the kernel when it is freed, and
the next batch pays for fresh pages again: that alone nearly doubles what formatting a line costs
(`bench/format.py`).
"""

import ctypes
import gc
from typing import Final

_M_TRIM_THRESHOLD: Final = -1  # malloc.h of glibc; see mallopt(3)
_M_MMAP_THRESHOLD: Final = -3
_LARGEST_BUFFER: Final = 32 * 1024 * 1024  # DEFAULT_MMAP_THRESHOLD_MAX on 64 bits
_KEPT: Final = 64 * 1024 * 1024


def keep_freed_buffers() -> bool:
    """Keep up to 64 MiB of freed memory in this process; False where the C library cannot."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_BUFFER) and mallopt(_M_TRIM_THRESHOLD, _KEPT))


_YOUNG: Final = 20_000
_GENERATIONS: Final = (20, 50)


def collect_seldom() -> None:
    """Look for reference cycles a thirtieth as often as Python does by default.

    What the relay makes for a batch has no cycles; what lives long (integrations, connections,
    tasks) is looked at in vain each time: with a thousand integrations that took a third of the
    CPU (`bench/many.py`).
    """
    gc.set_threshold(_YOUNG, *_GENERATIONS)
