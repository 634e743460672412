"""Memory that is free goes back to the system."""

from __future__ import annotations

import ctypes

import psutil
import pytest

from edge_app.memory import give_back_memory

BLOCK_BYTES = 100_000  # below glibc's limit for blocks that are given back by themselves
N_BLOCKS = 600


def test_what_was_freed_goes_back() -> None:
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "malloc_trim"):
        pytest.skip("another C library than glibc")
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    process = psutil.Process()
    held = [libc.malloc(BLOCK_BYTES) for _ in range(N_BLOCKS)]
    for block in held:
        ctypes.memset(block, 1, BLOCK_BYTES)
    last = libc.malloc(BLOCK_BYTES)  # keeps the end of the heap where it is
    full = process.memory_info().rss
    for block in held:
        libc.free(block)
    freed = process.memory_info().rss
    give_back_memory()
    trimmed = process.memory_info().rss
    libc.free(last)
    assert freed > full - 0.2 * BLOCK_BYTES * N_BLOCKS  # glibc keeps it
    assert trimmed < full - 0.8 * BLOCK_BYTES * N_BLOCKS
