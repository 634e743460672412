"""Three live sensors that can fail, read by the product: for the fault table and the long run.

The EEG comes from a real LSL outlet in a process of its own, the IMU through bleak's BlueZ backend
from a fake org.bluez (``tests/fake_bluez.py``), the camera is a double that plays a real video
(``tests/camera_double.py``), and a second one, ``door``, is a real network camera on loopback, read
by OpenCV. Sources, pipeline, windowing, supervisor and the face task are the
product's; the two signals are judged window by window by the product's own rule, ``spoilt_by``, so
that answers come every half second.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the rigs of the tests

from edge_app.build import StreamRoad, find_bundle, open_bundle
from edge_app.clock import MonotonicClock
from edge_app.contracts import AbstainReason, Chunk, Prediction, StreamInfo, Window
from edge_app.health import StreamHealth
from edge_app.pipeline import Pipeline, Prepare
from edge_app.sources.ble_imu import BleImuSource
from edge_app.sources.ble_radio import Radio
from edge_app.sources.imu_protocols.registry import make_protocol
from edge_app.sources.liblsl import LslNetwork, configure_liblsl
from edge_app.sources.lsl_eeg import LslEegSource
from edge_app.sources.opencv_camera import CameraSource
from edge_app.sources.protocol import Source
from edge_app.supervisor import StreamJob, Supervisor
from edge_app.tasks.protocol import Task, spoilt_by
from edge_app.windowing import SingleFrames, SlidingWindows, Windower
from tests.camera_double import CameraDouble, camera_video, read_video
from tests.camera_network import NetworkCamera
from tests.fake_bluez import Rig, SensorSpec, bluez_rig
from tests.lsl_outlet import OutletProcess, OutletSpec

SENSOR = SensorSpec("movella_dot", "D4:22:CD:00:00:01", 60.0)
OUTLET = OutletSpec("live-rig", labels=("Fp1", "Fpz-Cz"), units=("uV", "uV"), rate_hz=250.0)
STREAMS = ("eeg", "foot", "face", "door")
WINDOW_S = 1.0


class WindowTask:
    """Says of each window whether the product would use it."""

    def __init__(self, info: StreamInfo) -> None:
        self._info = info

    def push(self, window: Window) -> list[Prediction]:
        """Label a clean window, abstain on any other."""
        reason = spoilt_by(window, 0.0)
        label = "clean" if reason is None else None
        return [self._say(window, label, reason)]

    def finish(self) -> list[Prediction]:
        """Return nothing: every answer is final at once."""
        return []

    def forget(self) -> None:
        """Nothing is remembered."""

    def adopt(self, info: StreamInfo) -> None:
        """Go on with the stream opened anew."""
        self._info = info

    def _say(self, window: Window, label: str | None, reason: AbstainReason | None) -> Prediction:
        return Prediction(
            task="sleep",
            stream=self._info.name,
            time_s=window.end_s,
            start_s=window.start_s,
            end_s=window.end_s,
            label=label,
            probabilities=() if label is None else ((label, 1.0),),
            quality=window.usable_fraction,
            abstained=reason,
            final=True,
            revision=0,
            model="spoilt_by",
            simulated=True,
        )


def prepare_windows(info: StreamInfo) -> tuple[Windower, Task]:
    """Return windows of a second every half second, or single pictures, and who judges them."""
    if info.kind == "video":
        return SingleFrames(info), WindowTask(info)
    n = round(WINDOW_S * info.rate_hz)
    return SlidingWindows(info, length_samples=n, hop_samples=n // 2), WindowTask(info)


@dataclass
class Seen:
    """What came of one stream.

    Args:
        stamps_s: stamps of the samples, in the order they came, a chunk an entry.
        arrivals_s: when each chunk came.
        said: (when, prediction).
    """

    stamps_s: list[np.ndarray] = field(default_factory=list)
    arrivals_s: list[float] = field(default_factory=list)
    said: list[tuple[float, Prediction]] = field(default_factory=list)

    def forget(self, before_s: float) -> None:
        """Drop what is older, so that a long run needs no memory for it."""
        keep = next((k for k, t in enumerate(self.arrivals_s) if t >= before_s), 0)
        del self.arrivals_s[:keep], self.stamps_s[:keep]
        keep = next((k for k, (t, _) in enumerate(self.said) if t >= before_s), 0)
        del self.said[:keep]


class _Watched(Source):
    """A source whose chunks are noted."""

    def __init__(self, source: Source, seen: Seen) -> None:
        self._source, self._seen = source, seen
        self.overflow = source.overflow
        source.on_trouble = self._troubled

    def _troubled(self, trouble: str) -> None:
        self.figures = self._source.figures
        self.tell_trouble(trouble)

    async def open(self) -> StreamInfo:
        return await self._source.open()

    async def close(self) -> None:
        await self._source.close()

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        async for chunk in self._source:
            self.dropped, self.figures = self._source.dropped, self._source.figures
            if chunk.times_s.size:
                self._seen.stamps_s.append(chunk.times_s)
                self._seen.arrivals_s.append(time.monotonic())
            yield chunk


class LiveRig:
    """The three sensors and the program that reads them; a context manager."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.network = LslNetwork(f"live-rig-{os.getpid()}", (), "machine")
        self.seen = {name: Seen() for name in STREAMS}
        self.healths = {name: StreamHealth(name) for name in STREAMS}

    def __enter__(self) -> LiveRig:
        configure_liblsl(self.network)
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.bluez: Rig = self._stack.enter_context(bluez_rig([SENSOR]))
        self.radio = Radio()
        self._stack.callback(self.radio.close)
        self.camera = CameraDouble(read_video(camera_video(folder)), 10.0)
        self.door = self._stack.enter_context(NetworkCamera(self.camera.frames[:10], 10.0))
        self.outlet = OutletProcess(OUTLET, self.network)
        self._stack.callback(lambda: self.outlet.kill())
        self.outlet.wait_until_up()
        self.outlet.tell(how_sine_uv=20.0)
        face = StreamRoad(open_bundle(find_bundle("emotion")))
        jobs = [
            self._job("eeg", self._eeg, prepare_windows),
            self._job("foot", self._foot, prepare_windows),
            self._job("face", self._face, face.prepare),
            self._job("door", self._door, prepare_windows),
        ]
        self._supervisor = Supervisor(jobs)
        self._stack.callback(self._supervisor.stop)
        self._supervisor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _eeg(self) -> Source:
        return LslEegSource(
            name="eeg", source_id=OUTLET.source_id, channel="Fpz-Cz", network=self.network
        )

    def _foot(self) -> Source:
        protocol = partial(make_protocol, SENSOR.sensor)
        return BleImuSource(
            name="foot", protocol=protocol, address=SENSOR.address, radio=self.radio
        )

    def _face(self) -> Source:
        return CameraSource(name="face", device=0, open_capture=self.camera.open)

    def _door(self) -> Source:
        return CameraSource(name="door", device=self.door.url, rate_hz=10.0)

    def _job(self, name: str, make: Callable[[], Source], prepare: Prepare) -> StreamJob:
        seen, health = self.seen[name], self.healths[name]

        def emit(prediction: Prediction) -> None:
            seen.said.append((time.monotonic(), prediction))

        def build() -> Pipeline:
            return Pipeline(_Watched(make(), seen), prepare, emit, health, clock=MonotonicClock())

        return StreamJob(health, build)

    def wait_until_all_run(self, within_s: float = 30.0) -> None:
        """Return when every stream has given answers; raise when one does not."""
        end_s = time.monotonic() + within_s
        while not all(seen.said for seen in self.seen.values()):
            if time.monotonic() > end_s:
                silent = {n: self.healths[n].last_error for n, s in self.seen.items() if not s.said}
                raise RuntimeError(f"no answers from {silent}")
            time.sleep(0.1)
