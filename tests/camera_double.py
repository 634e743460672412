"""A camera that plays a real video, and can be made to fail in the ways real cameras do.

``CameraDouble.open`` is what a ``CameraSource`` takes as ``open_capture``. The double outlives the
captures that it opens, as a device outlives the programs that read it. It knows when it failed, so
that whoever reads it can be held against that.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from edge_app.errors import SourceNotFoundError
from edge_app.sources.camera_request import CameraRequest
from tests.conftest import ROOT

Fault = Literal["frozen", "black", "slow", "small", "garbage", "blocked", "silent", "unplugged"]
SPOILED: tuple[Fault, ...] = ("frozen", "black", "garbage", "blocked", "silent", "unplugged")
"""Faults during which nothing that may be named is in front of the lens."""
SLOW_HZ = 5.0
LONGEST_WAIT_S = 30.0


def write_textured_video(path: Path, n_frames: int = 24, rate_hz: float = 30.0) -> Path:
    """Write 64 x 48 frames of coarse noise, each another one."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate_hz, (64, 48))
    assert writer.isOpened()
    rng = np.random.default_rng(7)
    for _ in range(n_frames):
        coarse = rng.integers(0, 255, (6, 8, 3), np.uint8)
        writer.write(cv2.resize(coarse, (64, 48), interpolation=cv2.INTER_LINEAR))
    writer.release()
    return path


def camera_video(folder: Path) -> Path:
    """Return a real video of a face where the data are, else a textured one made in ``folder``."""
    data = Path(os.environ.get("BEDSIDE_DATA", ROOT / "../shared/data"))
    real = data.resolve() / "faces" / "single_face.mp4"
    return real if real.is_file() else write_textured_video(folder / "textured.avi")


def read_video(path: Path, n_frames: int = 60) -> list[np.ndarray]:
    """Return the first frames of a video, (h, w, 3) uint8 BGR, no two neighbours alike."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read when the first video is opened
    capture, frames = cv2.VideoCapture(str(path)), []
    while len(frames) < n_frames:
        readable, frame = capture.read()
        if not readable:
            break
        if not frames or not np.array_equal(frame, frames[-1]):
            frames.append(frame)
    capture.release()
    assert len(frames) > 1, path
    return frames


@dataclass
class CameraDouble:
    """One camera.

    Args:
        frames: what it shows, over and over.
        rate_hz: frames a second that it really sends.
        stated_hz: what its driver says; None: the truth.
        only_format: the one pixel format that it takes; None: any.
    """

    frames: list[np.ndarray]
    rate_hz: float = 30.0
    stated_hz: float | None = None
    only_format: str | None = None
    fault: Fault | None = None
    faults_s: list[tuple[Fault, float, float]] = field(default_factory=list)
    """What has failed, from when to when, by ``time.monotonic``."""
    opened: int = 0
    held: int = 0
    """Captures that are open now; a real device knows of one at most."""
    most_held: int = 0
    sent: int = 0
    _since_s: float = 0.0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def begin(self, fault: Fault) -> float:
        """Fail from now on; return the moment."""
        with self._changed:
            self.fault, self._since_s = fault, time.monotonic()
            self._changed.notify_all()
            return self._since_s

    def end(self) -> float:
        """Be well from now on; return the moment."""
        with self._changed:
            assert self.fault is not None
            now_s = time.monotonic()
            self.faults_s.append((self.fault, self._since_s, now_s))
            self.fault = None
            self._changed.notify_all()
            return now_s

    def spoiled_at(self, time_s: float) -> bool:
        """Whether nothing true could be seen at a moment."""
        return any(f in SPOILED and start <= time_s < end for f, start, end in self.faults_s) or (
            self.fault in SPOILED and time_s >= self._since_s
        )

    def open(self, request: CameraRequest) -> CaptureDouble:
        """Open the camera as ``open_capture`` of a source does."""
        if self.fault == "unplugged":
            raise SourceNotFoundError(
                "no camera there", source=request.name, next_step="Plug it in"
            )
        with self._changed:
            self.opened += 1
            self.held += 1
            self.most_held = max(self.most_held, self.held)
        return CaptureDouble(self)

    def wait(self, due_s: float) -> Fault | None:
        """Return at ``due_s``, later while the camera is silent or blocked, and what fails then."""
        with self._changed:
            while (left_s := due_s - time.monotonic()) > 0 and self.fault != "unplugged":
                self._changed.wait(left_s)
            self._changed.wait_for(
                lambda: self.fault not in ("silent", "blocked"), timeout=LONGEST_WAIT_S
            )
            return self.fault

    def let_go(self) -> None:
        """Count a capture that was released."""
        with self._changed:
            self.held -= 1


class CaptureDouble:
    """One opening of the camera; the interface of ``cv2.VideoCapture``."""

    def __init__(self, camera: CameraDouble) -> None:
        self._camera = camera
        self._fault: Fault | None = None
        self._due_s = time.monotonic()
        self._format = "YUYV"
        self._stuck: np.ndarray | None = None
        self._newest = camera.frames[0]
        self._open = True
        self._rng = np.random.default_rng(1)

    def isOpened(self) -> bool:  # noqa: N802 - named as in OpenCV
        return self._open

    def grab(self) -> bool:
        camera = self._camera
        self._due_s += 1.0 / (SLOW_HZ if camera.fault == "slow" else camera.rate_hz)
        self._fault = camera.wait(self._due_s)
        self._due_s = max(self._due_s, time.monotonic() - 0.5 / camera.rate_hz)
        if self._fault == "unplugged":
            return False
        camera.sent += 1
        return True

    def retrieve(self) -> tuple[bool, Any]:
        camera, fault = self._camera, self._fault
        if fault == "garbage":
            return self._garbage()
        if fault == "black":
            return True, self._rng.integers(0, 6, camera.frames[0].shape, np.uint8)
        if fault == "frozen":
            return True, self._newest.copy()
        self._newest = camera.frames[camera.sent % len(camera.frames)]
        if fault == "small":
            return True, cv2.resize(self._newest, None, fx=0.75, fy=0.75)
        return True, self._newest.copy()

    def _garbage(self) -> tuple[bool, Any]:
        """Return the next of all kinds of nonsense."""
        frame = self._camera.frames[0]
        nonsense: list[tuple[bool, Any]] = [
            (False, None),
            (True, None),
            (True, frame[..., 0].copy()),
            (True, frame.astype(np.float32)),
            (True, np.empty((0, 0, 3), np.uint8)),
            (True, np.zeros((8, 8, 4), np.uint8)),
            (True, b"\xff\xd8 no picture"),
        ]
        chosen = int(self._rng.integers(len(nonsense) + 1))
        if chosen == len(nonsense):
            raise cv2.error("a decoder failed")
        return nonsense[chosen]

    def get(self, property_id: int) -> float:
        camera = self._camera
        height, width = camera.frames[0].shape[:2]
        return {
            cv2.CAP_PROP_FPS: camera.rate_hz if camera.stated_hz is None else camera.stated_hz,
            cv2.CAP_PROP_FRAME_WIDTH: float(width),
            cv2.CAP_PROP_FRAME_HEIGHT: float(height),
            cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*self._format)),
        }.get(property_id, 0.0)

    def set(self, property_id: int, value: float) -> bool:
        if property_id != cv2.CAP_PROP_FOURCC:
            return False
        asked = int(value).to_bytes(4, "little").decode()
        if self._camera.only_format in (None, asked):
            self._format = asked
        return self._format == asked

    def release(self) -> None:
        if self._open:
            self._open = False
            self._camera.let_go()
