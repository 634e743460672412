"""One stream's road: order, counts, and a clean end whatever happens."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from edge_app.contracts import Chunk, Prediction, StreamInfo
from edge_app.errors import SinkError, SourceLostError, SourceNotFoundError
from edge_app.health import StreamHealth
from edge_app.pipeline import Pipeline
from edge_app.sources.protocol import Source
from edge_app.tasks.protocol import Task
from edge_app.windowing import SlidingWindows, Windower
from tests.scripted import EchoTask, ScriptedSource, seconds

LOST = SourceLostError("gone", source="scripted", next_step="wait")


class FixedClock:
    """Always the same moment."""

    def now_s(self) -> float:
        return 10.0

    async def sleep_until_s(self, time_s: float) -> None:
        raise AssertionError(time_s)


def build(
    source: Source, *, live: bool = False
) -> tuple[Pipeline, EchoTask, StreamHealth, list[Prediction]]:
    task, health, said = EchoTask(), StreamHealth("scripted"), []

    def prepare(info: StreamInfo) -> tuple[Windower, Task]:
        return SlidingWindows(info, length_samples=10, hop_samples=10), task

    clock = FixedClock() if live else None
    return Pipeline(source, prepare, said.append, health, clock=clock), task, health, said


async def test_windows_become_predictions_in_order_and_the_end_is_finished() -> None:
    source = ScriptedSource(seconds(0, 1.5), seconds(1.5, 3.2))
    pipeline, task, health, said = build(source)
    await pipeline.run()
    assert task.calls == ["push 0", "push 10", "push 20", "finish"]
    assert [(p.start_s, p.final) for p in said] == [(0, False), (1, False), (2, False), (2, True)]
    assert {p.latency_s for p in said} == {None}
    assert (health.chunks, health.samples, health.windowing.windows, health.predictions) == (
        2,
        32,
        3,
        4,
    )
    assert source.closed == 1


async def test_a_jump_finishes_and_resets_before_the_next_window() -> None:
    pipeline, task, health, _ = build(ScriptedSource(seconds(5, 6), seconds(0, 1)))
    await pipeline.run()
    assert task.calls == ["push 50", "finish", "forget", "push 0", "finish"]
    assert health.windowing.discontinuities == 1


async def test_live_predictions_carry_the_age_of_their_newest_sample() -> None:
    pipeline, _, health, said = build(ScriptedSource(seconds(0, 1)), live=True)
    await pipeline.run()
    assert [p.latency_s for p in said] == pytest.approx([9.1, 9.1])  # newest sample: 0.9 s
    assert health.latency_s == health.max_latency_s == pytest.approx(9.1)


async def test_a_lost_source_is_finished_closed_and_told() -> None:
    source = ScriptedSource(seconds(0, 1), LOST)
    pipeline, task, _, said = build(source)
    with pytest.raises(SourceLostError):
        await pipeline.run()
    assert task.calls == ["push 0", "finish"]
    assert said[-1].final
    assert source.closed == 1


async def test_a_source_that_does_not_open_is_closed_and_told() -> None:
    missing = SourceNotFoundError("no such thing", next_step="look elsewhere")
    source = ScriptedSource(fail_open=missing)
    pipeline, task, _, _ = build(source)
    with pytest.raises(SourceNotFoundError):
        await pipeline.run()
    assert source.closed == 1
    assert task.calls == []


async def test_cancelling_finishes_open_answers() -> None:
    source = ScriptedSource(seconds(0, 1), None)
    pipeline, _, _, said = build(source)
    running = asyncio.create_task(pipeline.run())
    await source.hanging.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [p.final for p in said] == [False, True]
    assert source.closed == 1


async def test_a_sink_that_fails_while_finishing_still_closes_the_source() -> None:
    source = ScriptedSource(seconds(0, 1))
    task, health = EchoTask(), StreamHealth("scripted")

    def prepare(info: StreamInfo) -> tuple[Windower, Task]:
        return SlidingWindows(info, length_samples=10, hop_samples=10), task

    def emit(prediction: Prediction) -> None:
        if prediction.final:
            raise SinkError("disk full", next_step="free space")

    with pytest.raises(SinkError):
        await Pipeline(source, prepare, emit, health, clock=None).run()
    assert source.closed == 1


async def test_what_the_end_leaves_complete_is_still_said() -> None:
    """A fast clock and a gap: the window is complete early, and nothing follows."""
    kept = np.r_[0:4, 6:10]
    chunk = Chunk(kept / 10.3, np.zeros((8, 1), np.float32))
    pieces = [Chunk(chunk.times_s[i : i + 1], chunk.samples[i : i + 1]) for i in range(8)]
    pipeline, _, health, said = build(ScriptedSource(*pieces))
    await pipeline.run()
    assert [p.final for p in said] == [False, True]
    assert (health.windowing.windows, health.windowing.gaps, health.windowing.missing_samples) == (
        1,
        1,
        2,
    )


async def test_a_gap_in_the_unfinished_window_is_counted() -> None:
    pipeline, _, health, _ = build(ScriptedSource(seconds(0, 1), seconds(1.4, 1.6), LOST))
    with pytest.raises(SourceLostError):
        await pipeline.run()
    assert (health.windowing.windows, health.windowing.gaps, health.windowing.missing_samples) == (
        1,
        1,
        4,
    )


async def test_counts_go_on_over_restarts() -> None:
    health = StreamHealth("scripted")

    def prepare(info: StreamInfo) -> tuple[Windower, Task]:
        return SlidingWindows(info, length_samples=10, hop_samples=10), EchoTask()

    for _ in range(2):
        source = ScriptedSource(seconds(0, 1), seconds(1.5, 3))
        await Pipeline(source, prepare, lambda _: None, health, clock=None).run()
    assert (health.windowing.windows, health.windowing.gaps, health.windowing.missing_samples) == (
        6,
        2,
        10,
    )
