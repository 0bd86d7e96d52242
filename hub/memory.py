"""Tell the C library to keep the memory of freed buffers for the next ones.

By default glibc gives every buffer of more than 128 KiB back to the kernel when it is freed, and
the next batch pays for fresh pages again: that alone nearly doubles what formatting a line costs
(`bench/format.py`).
"""

import ctypes
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
