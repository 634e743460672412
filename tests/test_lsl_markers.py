"""Texts from real outlets that come and go."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from edge_app.sources import lsl_markers
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


class Streams:
    """pylsl's part, with streams that fail in any way."""

    class util:  # noqa: N801 - pylsl's name
        class LostError(Exception):
            pass

        class TimeoutError(Exception):
            pass

    def __init__(self, n: int) -> None:
        self.n = n

    def ContinuousResolver(self, pred: str) -> Streams:  # noqa: ARG002, N802 - pylsl's name
        return self

    def results(self) -> list[SimpleNamespace]:
        def info(k: int) -> SimpleNamespace:
            return SimpleNamespace(
                uid=lambda: f"u{k}", name=lambda: f"s{k:02}", hostname=lambda: "here"
            )

        return [info(k) for k in range(self.n)]

    def StreamInlet(self, info: SimpleNamespace, **_: object) -> SimpleNamespace:  # noqa: N802
        def pull(**_: object) -> tuple[list[list[str]], list[float]]:
            if info.name() == "s01":
                raise RuntimeError("what nobody expected")
            return [["text"]], [1.0]

        if info.name() == "s00":
            raise OSError("no socket")
        return SimpleNamespace(
            time_correction=lambda **_: 0.0, open_stream=lambda **_: None, pull_chunk=pull
        )


def test_one_stream_that_fails_does_not_silence_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lsl_markers, "load_pylsl", lambda: Streams(4))
    monkeypatch.setattr(lsl_markers, "configure_liblsl", lambda _: None)
    listener = LslMarkers(NETWORK)
    listener.start()
    wait_for(lambda: listener.streams == ("s02", "s03"))
    assert {marker.stream for marker in collect(listener, 4)} <= {"s02", "s03"}
    listener.stop()
    assert caplog.text.count("s00 cannot be connected") == 1
    assert caplog.text.count("s01 cannot be read and is dropped") == 1
    assert listener.ignored == 0


def test_more_streams_than_are_read_are_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    streams = Streams(2 + lsl_markers.MAX_STREAMS)
    monkeypatch.setattr(lsl_markers, "load_pylsl", lambda: streams)
    monkeypatch.setattr(lsl_markers, "configure_liblsl", lambda _: None)
    listener = LslMarkers(NETWORK)
    listener.start()
    wait_for(lambda: len(listener.streams) == lsl_markers.MAX_STREAMS)
    streams.n += 3
    wait_for(lambda: listener.ignored == 3)
    listener.stop()
    assert "of more than 32 streams 3 are not read" in caplog.text


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
