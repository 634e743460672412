"""Texts from real outlets that come and go."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator

import pytest

from edge_app.sources.liblsl import LslNetwork
from edge_app.sources.lsl_markers import LslMarkers, Marker
from tests.lsl_outlet import OutletProcess, OutletSpec

pytestmark = pytest.mark.lsl
NETWORK = LslNetwork(f"bedside-{os.getpid()}", resolve_scope="machine")


@pytest.fixture
def markers() -> Iterator[LslMarkers]:
    markers = LslMarkers(NETWORK, max_held=5)
    markers.start()
    yield markers
    markers.stop()


@pytest.fixture
def outlet() -> Iterator[Callable[[str, str], OutletProcess]]:
    started: list[OutletProcess] = []

    def start(name: str, kind: str = "string") -> OutletProcess:
        rate_hz = 0.0 if kind == "string" else 100.0
        spec = OutletSpec(name, name=name, stream_type="Markers", format=kind, rate_hz=rate_hz)
        started.append(OutletProcess(spec, NETWORK))
        started[-1].wait_until_up()
        return started[-1]

    yield start
    for process in started:
        process.kill()


def wait_for(what: Callable[[], object], within_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.02)


def collect(markers: LslMarkers, n: int) -> list[Marker]:
    got: list[Marker] = []

    def enough() -> bool:
        got.extend(markers.take())
        return len(got) >= n

    wait_for(enough)
    return got


def test_markers_of_all_text_streams_come_with_their_time(
    markers: LslMarkers, outlet: Callable[..., OutletProcess]
) -> None:
    nurse, light = outlet("nurse"), outlet("light")
    outlet("band", "float32")
    wait_for(lambda: markers.streams == ("light", "nurse"))  # samples are no markers
    time.sleep(1.0)  # until the clocks are compared
    before_s = time.monotonic()
    nurse.tell(push="turned over; 10 µg")
    light.tell(push="off")
    got = collect(markers, 2)
    after_s = time.monotonic()
    assert {(m.stream, m.text) for m in got} == {("nurse", "turned over; 10 µg"), ("light", "off")}
    assert all(before_s - 0.1 < marker.time_s < after_s + 0.1 for marker in got)


def test_a_stream_that_goes_and_comes_back_is_heard_again(
    markers: LslMarkers, outlet: Callable[..., OutletProcess]
) -> None:
    first = outlet("nurse")
    wait_for(lambda: markers.streams == ("nurse",))
    first.kill()
    wait_for(lambda: markers.streams == ())
    second = outlet("nurse")
    wait_for(lambda: markers.streams == ("nurse",))
    time.sleep(1.0)
    second.tell(push="back")
    assert collect(markers, 1)[0].text == "back"


def test_what_nobody_takes_pushes_out_the_oldest(
    markers: LslMarkers, outlet: Callable[..., OutletProcess]
) -> None:
    nurse = outlet("nurse")
    wait_for(lambda: markers.streams == ("nurse",))
    time.sleep(1.0)
    for number in range(8):
        nurse.tell(push=str(number))
    wait_for(lambda: markers.dropped == 3)
    assert [marker.text for marker in markers.take()] == ["3", "4", "5", "6", "7"]


async def test_iterating_ends_with_stop(
    markers: LslMarkers, outlet: Callable[..., OutletProcess]
) -> None:
    nurse = outlet("nurse")
    got: list[str] = []

    async def read() -> None:
        async for marker in markers:
            got.append(marker.text)

    reading = asyncio.create_task(read())
    while not got:
        nurse.tell(push="here")
        await asyncio.sleep(0.2)
    await asyncio.to_thread(markers.stop)
    await asyncio.wait_for(reading, 10.0)
    assert set(got) == {"here"}
