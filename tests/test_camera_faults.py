"""Each way a camera fails: what is told, nothing spoiled is passed on, pictures come again."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_app.clock import MonotonicClock
from edge_app.contracts import Chunk, Prediction, StreamInfo, Window
from edge_app.errors import SourceError, SourceLostError, SourceNotFoundError
from edge_app.health import StreamHealth
from edge_app.pipeline import Pipeline
from edge_app.sources.camera_capture import left_behind
from edge_app.sources.camera_request import CameraRequest
from edge_app.sources.opencv_camera import CameraSource
from edge_app.supervisor import StreamJob, Supervisor
from edge_app.tasks.protocol import Task
from edge_app.windowing import SingleFrames, Windower
from tests.camera_double import CameraDouble, CaptureDouble, Fault, camera_video, read_video
from tests.camera_viewer import Viewer, descriptors

WARN_S, LOST_S, FROZEN_LOST_S = 0.3, 0.9, 1.2


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    return read_video(camera_video(tmp_path_factory.mktemp("video")), n_frames=24)


@pytest.fixture
def camera(frames: list[np.ndarray]) -> Iterator[CameraDouble]:
    double = CameraDouble(frames)
    yield double
    if double.fault is not None:
        double.end()
    deadline_s = time.monotonic() + 10.0
    while double.held:  # a blocked read has returned: the camera is let go of
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def source_of(camera: CameraDouble, **settings: object) -> CameraSource:
    given = {
        "name": "cam",
        "device": 0,
        "warn_after_s": WARN_S,
        "lost_after_s": LOST_S,
        "frozen_lost_after_s": FROZEN_LOST_S,
        "open_capture": camera.open,
    }
    return CameraSource(**(given | settings))  # type: ignore[arg-type]


def while_spoiled(camera: CameraDouble, chunks: list[Chunk]) -> list[float]:
    """Return the stamps of frames that were passed on though nothing true could be seen."""
    stamps_s = [float(chunk.times_s[0]) for chunk in chunks]
    return [time_s for time_s in stamps_s if spoiled(camera, time_s)]


def spoiled(camera: CameraDouble, time_s: float) -> bool:
    """Whether a frame is of a fault; one grabbed just before it may be stamped just after."""
    return camera.spoiled_at(time_s) and camera.spoiled_at(time_s - 0.05)


async def test_a_healthy_camera_tells_no_trouble(camera: CameraDouble) -> None:
    async with Viewer(source_of(camera, warn_after_s=5.0)) as viewer:
        await viewer.frames(40)
    assert viewer.told == []
    assert viewer.figures["bad_frames"] == viewer.figures["repeated_frames"] == 0
    assert viewer.chunks[0].samples.shape == (1, *camera.frames[0].shape)
    stamps_s = np.concatenate([chunk.times_s for chunk in viewer.chunks])
    assert (np.diff(stamps_s) > 0).all()


@pytest.mark.parametrize(
    ("fault", "told", "lost"),
    [
        ("frozen", "frozen picture for 0.3 s", "frozen picture for 1.2 s"),
        ("garbage", "no readable picture for 0.3 s, only damaged ones", "no readable picture"),
        ("silent", "no frame for 0.3 s", "no frame for 0.9 s"),
        ("blocked", "no frame for 0.3 s", "no frame for 0.9 s"),
    ],
)
async def test_a_fault_is_told_then_the_camera_is_given_up_and_opened_again(
    camera: CameraDouble, fault: Fault, told: str, lost: str
) -> None:
    async with Viewer(source_of(camera)) as viewer:
        await viewer.frames(5)
        camera.begin(fault)
        await viewer.until(lambda: viewer.failure is not None)
    assert any(told in text for _, text in viewer.told)
    assert isinstance(viewer.failure, SourceLostError)
    assert lost in viewer.failure.problem
    assert while_spoiled(camera, viewer.chunks) == []

    camera.end()
    async with Viewer(source_of(camera)) as again:  # as the supervisor does
        await again.frames(5)
    assert again.failure is None


@pytest.mark.parametrize("fault", ["frozen", "garbage", "silent"])
async def test_trouble_that_passes_is_told_to_be_over_and_frames_go_on(
    camera: CameraDouble, fault: Fault
) -> None:
    async with Viewer(source_of(camera, lost_after_s=60, frozen_lost_after_s=60)) as viewer:
        await viewer.frames(5)
        camera.begin(fault)
        await viewer.until(lambda: bool(viewer.source.trouble))
        camera.end()
        await viewer.until(lambda: not viewer.source.trouble)
        await viewer.frames(5)
    assert viewer.failure is None
    assert viewer.told[-1][1] == ""
    assert camera.opened == 1
    assert while_spoiled(camera, viewer.chunks) == []


async def test_an_unplugged_camera_is_lost_at_once_and_not_found_until_it_is_back(
    camera: CameraDouble,
) -> None:
    async with Viewer(source_of(camera, lost_after_s=60.0)) as viewer:
        await viewer.frames(5)
        camera.begin("unplugged")
        await viewer.until(lambda: viewer.failure is not None)
    assert isinstance(viewer.failure, SourceLostError)
    assert "unplugged" in str(viewer.failure)
    assert while_spoiled(camera, viewer.chunks) == []
    with pytest.raises(SourceNotFoundError):
        await source_of(camera).open()
    camera.end()
    async with Viewer(source_of(camera)) as again:
        await again.frames(5)


def rename(old: str, new: str) -> None:
    Path(old).rename(new)


async def test_a_vanished_node_is_noticed_though_the_read_only_blocks(
    camera: CameraDouble,
) -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="video") as node:
        async with Viewer(source_of(camera, device=node.name, lost_after_s=60)) as viewer:
            await viewer.frames(5)
            camera.begin("blocked")
            rename(node.name, f"{node.name}-away")
            await viewer.until(lambda: viewer.failure is not None)
            rename(f"{node.name}-away", node.name)
    assert isinstance(viewer.failure, SourceLostError)
    assert viewer.failure.problem == f"unplugged: {node.name} is gone"


class FrameTask:
    """Says of each frame that it was seen."""

    def push(self, window: Window) -> list[Prediction]:
        said = Prediction(
            task="emotion",
            stream="cam",
            time_s=window.end_s,
            start_s=window.start_s,
            end_s=window.end_s,
            label="seen",
            probabilities=(("seen", 1.0),),
            quality=1.0,
            abstained=None,
            final=True,
            revision=0,
            model="none",
            simulated=False,
        )
        return [said]

    def finish(self) -> list[Prediction]:
        return []

    def forget(self) -> None:
        """Nothing is kept."""

    def adopt(self, info: StreamInfo) -> None:
        """The stream stays what it is."""


@pytest.mark.parametrize("fault", ["unplugged", "blocked", "frozen"])
def test_the_road_goes_on_by_itself_once_the_camera_is_well(
    camera: CameraDouble, fault: Fault
) -> None:
    said: list[Prediction] = []
    health = StreamHealth("cam")

    def build() -> Pipeline:
        def prepare(info: StreamInfo) -> tuple[Windower, Task]:
            return SingleFrames(info), FrameTask()

        return Pipeline(source_of(camera), prepare, said.append, health, clock=MonotonicClock())

    def wait_until(condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + 30.0
        while not condition():
            assert time.monotonic() < deadline_s, health
            time.sleep(0.005)

    supervisor = Supervisor([StreamJob(health, build)])
    supervisor.start()
    try:
        wait_until(lambda: len(said) > 5)
        camera.begin(fault)
        wait_until(lambda: bool(health.last_error))
        well_s = camera.end()
        wait_until(lambda: any(p.start_s > well_s for p in said))
    finally:
        supervisor.stop()
    assert health.restarts >= 1
    assert [p for p in said if spoiled(camera, p.start_s)] == []


async def test_a_camera_still_frozen_when_opened_again_gives_no_picture(
    camera: CameraDouble,
) -> None:
    """The first picture after opening may be the frozen one, so it is never passed on."""
    camera.begin("frozen")
    async with Viewer(source_of(camera)) as viewer:
        await viewer.until(lambda: viewer.failure is not None)
    assert viewer.chunks == []
    assert viewer.figures["repeated_frames"] > 0


async def test_a_black_picture_is_told_and_still_passed_on(camera: CameraDouble) -> None:
    async with Viewer(source_of(camera)) as viewer:
        await viewer.frames(5)
        camera.begin("black")
        await viewer.until(lambda: "picture black" in viewer.source.trouble)
        before = len(viewer.chunks)
        await viewer.frames(5)
        assert viewer.chunks[before].samples.mean() < 10
        assert viewer.figures["brightness"] < 10
        camera.end()
        await viewer.until(lambda: not viewer.source.trouble)
    assert viewer.failure is None


async def test_another_size_is_passed_on_and_told_in_the_figures(camera: CameraDouble) -> None:
    height, width = camera.frames[0].shape[:2]
    async with Viewer(source_of(camera)) as viewer:
        await viewer.frames(5)
        camera.begin("small")
        await viewer.until(lambda: viewer.chunks[-1].samples.shape[2] == width * 3 // 4)
        assert viewer.figures["width_px"] == width * 3 // 4
        camera.end()
        await viewer.until(lambda: viewer.chunks[-1].samples.shape[1:3] == (height, width))
    assert viewer.figures["size_changes"] == 2
    assert viewer.failure is None


async def test_a_slow_camera_is_told_with_its_rate_and_passed_on(camera: CameraDouble) -> None:
    async with Viewer(source_of(camera, warn_after_s=1.0)) as viewer:
        await viewer.frames(30)
        camera.begin("slow")
        await viewer.until(lambda: "frames a second instead of 30" in viewer.source.trouble)
        await viewer.until(lambda: viewer.figures["rate_measured_hz"] < 8)
        await viewer.frames(3)
        camera.end()
        await viewer.until(lambda: not viewer.source.trouble)
    assert viewer.failure is None


async def test_a_slow_reader_gets_the_newest_frame_and_the_rest_is_counted(
    camera: CameraDouble,
) -> None:
    source = source_of(camera, lost_after_s=60.0)
    await source.open()
    asked_s, ages_s = 0.0, []
    async for chunk in source:
        ages_s.append(asked_s - float(chunk.times_s[0]))  # below 0: grabbed after it was asked for
        if len(ages_s) == 6:
            break
        await asyncio.sleep(0.25)
        asked_s = time.monotonic()
    await source.close()
    assert max(ages_s) <= 0.0
    assert source.dropped >= 5 * 3


async def test_one_damaged_picture_while_the_reader_is_busy_is_no_row_of_them(
    camera: CameraDouble,
) -> None:
    """What comes after it is whole, though nobody has waited for it."""
    damaged = threading.Event()

    class Hiccup(CaptureDouble):
        def grab(self) -> bool:
            came = super().grab()
            if damaged.is_set():
                damaged.clear()
                return False  # as OpenCV does after a wait for a picture that comes damaged
            return came

    def open_capture(_request: CameraRequest) -> CaptureDouble:
        camera.held += 1
        return Hiccup(camera)

    async with source_of(camera, open_capture=open_capture) as source:
        told: list[str] = []
        source.on_trouble = told.append
        chunks = aiter(source)
        await anext(chunks)
        damaged.set()
        await asyncio.sleep(LOST_S + 0.5)  # a model that thinks for long
        for _ in range(3):
            await anext(chunks)
        assert dict(source.figures)["bad_frames"] == 1
    assert told == []


def test_a_lost_camera_leaves_no_pictures_in_memory(camera: CameraDouble) -> None:
    """asyncio.run leaves the error in a ring with its traceback, and that with the reader."""
    seen: list[weakref.ref[np.ndarray]] = []

    class Watched(CaptureDouble):
        def retrieve(self) -> tuple[bool, np.ndarray]:
            readable, frame = super().retrieve()
            seen.append(weakref.ref(frame))
            return readable, frame

    def open_capture(_request: CameraRequest) -> CaptureDouble:
        camera.held += 1
        return Watched(camera)

    async def view() -> None:
        async with source_of(camera, open_capture=open_capture) as source:
            async for _ in source:
                if len(seen) == 5:
                    camera.begin("unplugged")

    gc.collect()
    gc.disable()
    try:
        with pytest.raises(SourceLostError):
            asyncio.run(view())
        assert [frame for frame in seen if frame() is not None] == []
    finally:
        gc.enable()


async def test_a_read_that_blocks_does_not_hold_up_closing(camera: CameraDouble) -> None:
    source = source_of(camera)
    viewer = Viewer(source)
    await viewer.__aenter__()
    await viewer.frames(2)
    camera.begin("blocked")
    await asyncio.sleep(0.1)
    begun_s = time.monotonic()
    await viewer.__aexit__()
    assert time.monotonic() - begun_s < 1.0  # the rule of every source
    assert left_behind("cam") == 1
    camera.end()
    deadline_s = time.monotonic() + 10.0
    while left_behind("cam"):
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)
    assert camera.held == 0


async def test_reads_that_never_return_do_not_pile_up(camera: CameraDouble) -> None:
    refused: SourceError | None = None
    for _ in range(20):
        source = source_of(camera)
        try:
            await source.open()
        except SourceError as error:
            refused = error
            break
        camera.begin("blocked")
        await asyncio.sleep(0.05)
        await source.close()
        camera.fault = None  # the next one opens; those that wait are not woken
    assert refused is not None
    assert "still block" in refused.problem
    assert camera.held <= 4
    camera.begin("blocked")


async def test_hundreds_of_openings_leave_nothing_behind(camera: CameraDouble) -> None:
    camera.rate_hz = 200.0
    before = descriptors()
    for _ in range(200):
        source = source_of(camera)
        await source.open()
        await anext(aiter(source))
        await source.close()
    assert (camera.opened, camera.held, camera.most_held) == (200, 0, 1)
    assert left_behind("cam") == 0
    assert descriptors() == before


async def test_a_camera_that_opens_and_sends_nothing_is_not_found(camera: CameraDouble) -> None:
    camera.begin("silent")
    with pytest.raises(SourceNotFoundError, match="no picture within"):
        await source_of(camera, open_timeout_s=0.3).open()


async def test_a_camera_that_sends_only_garbage_is_refused(camera: CameraDouble) -> None:
    camera.begin("garbage")
    with pytest.raises(SourceError, match="cannot be read") as caught:
        await source_of(camera, open_timeout_s=0.5).open()
    assert not isinstance(caught.value, SourceNotFoundError)
    assert "pixel format" in caught.value.next_step


async def test_a_bug_in_a_driver_becomes_an_error_of_the_source(
    camera: CameraDouble, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_request: CameraRequest) -> CaptureDouble:
        raise RuntimeError("a driver's own trouble")

    with pytest.raises(SourceError, match="driver's own trouble"):
        await source_of(camera, open_capture=broken).open()
    assert "please report it" in caplog.text
