"""Compression of request bodies."""

import cramjam


def gzipped(body: bytes) -> bytes:
    """Compress as gzip at level 1: the same bytes for the same body, whenever it is sent.

    Level 1 takes a third of the default's time for a tenth more bytes; and the library, which
    writes no time stamp, half of what Python's own takes.
    """
    return bytes(cramjam.gzip.compress(body, level=1))
