"""The rules of ``sources/protocol.py``, held against every source in ``source_factories``."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import numpy as np
import pytest

from edge_app.contracts import Chunk, StreamInfo
from edge_app.errors import SourceError
from edge_app.sources.protocol import Source
from tests.source_factories import SOURCES, Fail, SourceCase

CHUNK_SIZES = [1, 7, 50, 333, 10**9]


@pytest.fixture(params=SOURCES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> SourceCase:
    made: SourceCase = request.param
    return made


async def take(source: Source, case: SourceCase) -> list[Chunk]:
    """Return what the source delivers, cut after a number of samples when it has no end."""
    chunks: list[Chunk] = []
    n = 0
    async for chunk in source:
        chunks.append(chunk)
        n += chunk.times_s.shape[0]
        if not case.ends and n >= case.take_samples:
            break
    return chunks


def stamps(chunks: list[Chunk]) -> np.ndarray:
    return np.concatenate([chunk.times_s for chunk in chunks])


def open_files(folder: Path) -> list[str]:
    """Return the files of a folder that this process holds open."""
    held = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            held.append(str(descriptor.readlink()))
    return [name for name in held if name.startswith(str(folder.resolve()))]


def check_chunk(chunk: Chunk, info: StreamInfo) -> None:
    if info.kind == "video":
        assert chunk.samples.dtype == np.uint8
        assert chunk.samples.shape[3] == 3
    else:
        assert chunk.samples.dtype == np.float32
        assert chunk.samples.shape[1] == len(info.channels)


async def test_chunks_match_the_info_and_times_increase(case: SourceCase, tmp_path: Path) -> None:
    async with case.make(tmp_path, None) as source:
        info = await source.open()
        chunks = await take(source, case)
    assert len(chunks) > 1
    for chunk in chunks:
        check_chunk(chunk, info)
    assert (np.diff(stamps(chunks)) > 0).all()


async def test_opens_and_closes_twice_with_the_same_info(case: SourceCase, tmp_path: Path) -> None:
    source = case.make(tmp_path, None)
    first = await source.open()
    await source.close()
    await source.close()
    second = await source.open()
    chunks = await take(source, case)
    await source.close()
    assert second == first
    assert chunks


async def test_a_source_that_is_closed_delivers_nothing(case: SourceCase, tmp_path: Path) -> None:
    source = case.make(tmp_path, None)
    assert [chunk async for chunk in source] == []
    await source.open()
    await source.close()
    assert [chunk async for chunk in source] == []


@pytest.mark.parametrize(
    "fail", [pytest.param(case.fail, id=case.name) for case in SOURCES if case.fail is not None]
)
async def test_a_failed_open_cleans_up_and_can_be_repeated(fail: Fail, tmp_path: Path) -> None:
    source, repair = fail(tmp_path)
    with pytest.raises(SourceError):
        await source.open()
    with pytest.raises(SourceError) as caught:
        await source.open()
    assert caught.value.next_step
    assert open_files(tmp_path) == []
    repair()
    await source.open()
    assert (await anext(aiter(source))).times_s.size
    await source.close()


async def test_nothing_depends_on_the_chunk_size(case: SourceCase, tmp_path: Path) -> None:
    if not case.resizable:
        pytest.skip("the sensor chooses the chunk size")
    reference: tuple[np.ndarray, np.ndarray] | None = None
    for size in CHUNK_SIZES if case.ends else CHUNK_SIZES[:-1]:
        folder = tmp_path / str(size)
        folder.mkdir()
        async with case.make(folder, size) as source:
            chunks = await take(source, case)
        n = min(size, sum(len(chunk.times_s) for chunk in chunks))
        assert len(chunks[0].times_s) == n
        n_compared = None if case.ends else case.take_samples
        got = stamps(chunks)[:n_compared], np.concatenate([c.samples for c in chunks])[:n_compared]
        if reference is None:
            reference = got
        np.testing.assert_array_equal(got[0], reference[0])
        np.testing.assert_array_equal(got[1], reference[1])


async def test_iterating_again_replays_a_recording(case: SourceCase, tmp_path: Path) -> None:
    if not case.replays:
        pytest.skip("a live source goes on where it is")
    async with case.make(tmp_path, 50) as source:
        first, second = await take(source, case), await take(source, case)
    np.testing.assert_array_equal(stamps(first), stamps(second))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)


async def test_close_ends_a_pending_iteration_within_a_second(
    case: SourceCase, tmp_path: Path
) -> None:
    source = case.make(tmp_path, 1 if case.resizable else None)
    await source.open()
    first = asyncio.Event()
    n_chunks = 0

    async def iterate() -> None:
        nonlocal n_chunks
        async for _ in source:
            n_chunks += 1
            first.set()
            await asyncio.sleep(0)

    task = asyncio.create_task(iterate())
    await asyncio.wait_for(first.wait(), 5)
    await source.close()
    closed_at = n_chunks
    await asyncio.wait_for(task, 1)
    assert n_chunks <= closed_at + 1


async def test_a_cancelled_iteration_leaves_nothing_open(case: SourceCase, tmp_path: Path) -> None:
    source = case.make(tmp_path, 1 if case.resizable else None)
    await source.open()
    first = asyncio.Event()

    async def iterate() -> None:
        async for _ in source:
            first.set()
            await asyncio.sleep(0)

    task = asyncio.create_task(iterate())
    await asyncio.wait_for(first.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 1)
    await source.close()
    assert open_files(tmp_path) == []
