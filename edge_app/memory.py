"""Gives memory that is free back to the system, which glibc keeps in pieces after many reopenings.

Threads, sockets and pictures of every attempt to open a sensor come from several arenas of glibc's
malloc; what is freed in them stays with the process. Over a night of bad links that looks like a
leak, and on a board of 4 GB it is as bad as one.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):  # another C library, such as musl
        return None
    return trim


def give_back_memory() -> None:
    """Give free memory back; some milliseconds. Nothing happens where the C library cannot."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)
