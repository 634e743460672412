"""Opens a camera through OpenCV, sets it up, and says what it really does."""

from __future__ import annotations

import contextlib
import math
import os
import re
from pathlib import Path

from edge_app.errors import SourceError, SourceNotFoundError
from edge_app.sources.camera_loop import LoopedFile
from edge_app.sources.camera_rate import plausible_hz
from edge_app.sources.camera_request import CameraRequest, CameraSettings, Capture

ASSUMED_FILE_HZ = 25.0


def open_with_opencv(request: CameraRequest) -> Capture:
    """Open a camera.

    Args:
        request: which one; format, size and rate are set later by ``set_up``.

    Returns:
        The camera, opened.

    Raises:
        SourceNotFoundError: nothing there, or it does not answer.
        SourceError: there, but not usable: no permission, in use, no GStreamer.
    """
    import cv2

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # our errors say it in words
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    os.environ.setdefault(
        "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(math.ceil(request.read_timeout_s))
    )
    kind = request.address.kind
    if kind == "v4l2":
        return _open_v4l2(request)
    if kind == "file":
        return _open_file(request)
    return _open_stream(request)


def set_up(capture: Capture, request: CameraRequest) -> CameraSettings:
    """Ask for format, size and rate, and read back what the camera made of it.

    Args:
        capture: opened.
        request: what is wanted.

    Returns:
        What the camera says it does.
    """
    import cv2

    said: list[str] = []
    # The format first: drivers offer sizes and rates by format.
    if request.pixel_format is not None:
        asked = cv2.VideoWriter.fourcc(*request.pixel_format)
        capture.set(cv2.CAP_PROP_FOURCC, asked)
        got = int(capture.get(cv2.CAP_PROP_FOURCC))
        if got != asked:
            said.append(f"pixel format {fourcc_text(got)} instead of {request.pixel_format}")
    sides = (
        ("width", request.width_px, cv2.CAP_PROP_FRAME_WIDTH),
        ("height", request.height_px, cv2.CAP_PROP_FRAME_HEIGHT),
    )
    for _, wanted_px, key in sides:
        if wanted_px is not None:
            capture.set(key, wanted_px)
    for word, wanted_px, key in sides:
        if wanted_px is not None and round(capture.get(key)) != wanted_px:
            said.append(f"{word} {capture.get(key):g} px instead of {wanted_px} px")
    if request.rate_hz is not None:
        capture.set(cv2.CAP_PROP_FPS, request.rate_hz)
    stated_hz = plausible_hz(capture.get(cv2.CAP_PROP_FPS))
    asked_hz = request.rate_hz
    differs = asked_hz is not None and stated_hz is not None and abs(stated_hz - asked_hz) > 0.5
    if differs:
        said.append(f"the camera says {stated_hz:.4g} frames a second, {asked_hz:g} asked")
    return CameraSettings(stated_hz, tuple(said))


def fourcc_text(code: int) -> str:
    """Return the four characters of a pixel format, or ``unknown``."""
    text = code.to_bytes(4, "little", signed=code < 0).decode("latin-1")
    return text if text.isprintable() and text.strip() else "unknown"


def has_gstreamer(build_information: str) -> bool:
    """Whether an OpenCV of this ``cv2.getBuildInformation()`` can open GStreamer pipelines."""
    return re.search(r"^\s*GStreamer:\s+YES", build_information, re.MULTILINE) is not None


def holders(node: Path, processes: Path = Path("/proc")) -> list[str]:
    """Look for the programs that hold a device open, as far as this user may see them.

    Args:
        node: the device.
        processes: where the kernel lists processes.

    Returns:
        Name and process number of each.
    """
    wanted, found = str(node.resolve()), []
    for process in processes.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            held = (str(descriptor.readlink()) for descriptor in (process / "fd").iterdir())
            if wanted in held:
                command = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                found.append(f"{command} (process {process.name})")
    return found


def _open_v4l2(request: CameraRequest) -> Capture:
    import cv2

    node = Path(request.address.target)
    if not node.exists():
        raise SourceNotFoundError(
            f"no camera at {node}",
            source=request.name,
            next_step="Plug it in, and list the cameras with `edge-app devices`",
        )
    if not os.access(node, os.R_OK | os.W_OK):
        raise SourceError(
            f"no permission to use {node}",
            source=request.name,
            next_step="Run `sudo usermod -aG video $USER`, log out and in again",
        )
    used_by = holders(node)
    # By its real name: OpenCV takes /dev/videoN as a path on all versions, links not on all.
    capture: Capture = cv2.VideoCapture(str(node.resolve()), cv2.CAP_V4L2)
    if capture.isOpened():
        return capture
    capture.release()
    if used_by:
        raise SourceError(
            f"{node} is busy: {', '.join(used_by)} uses it",
            source=request.name,
            next_step="End that program; the camera is tried again",
        )
    raise SourceError(
        f"{node} is there but cannot be opened as a camera; another program may be using it",
        source=request.name,
        next_step="End other programs that use it, or choose another with `edge-app devices`",
    )


def _open_file(request: CameraRequest) -> Capture:
    import cv2

    path = Path(request.address.target)
    if not path.is_file():
        raise SourceNotFoundError(
            f"no video file at {path}",
            source=request.name,
            next_step="Correct the path, or name a camera from `edge-app devices`",
        )
    capture: Capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        capture.release()
        raise SourceError(
            f"{path.name} cannot be opened as a video",
            source=request.name,
            next_step="Name a video file (MP4, MOV, AVI, MKV, WebM)",
        )
    rate_hz = plausible_hz(capture.get(cv2.CAP_PROP_FPS)) or request.rate_hz or ASSUMED_FILE_HZ
    return LoopedFile(capture, rate_hz)


def _open_stream(request: CameraRequest) -> Capture:
    import cv2

    pipeline = request.address.kind == "gstreamer"
    if pipeline and not has_gstreamer(cv2.getBuildInformation()):
        raise SourceError(
            f"OpenCV {cv2.__version__} was built without GStreamer, which a pipeline needs",
            source=request.name,
            next_step="On a Jetson remove pip's opencv-python and use JetPack's own OpenCV "
            "(package libopencv-python, in an environment with system site packages); a USB camera "
            "needs only its /dev/video path",
        )
    capture: Capture
    if pipeline:  # without time limits: an OpenCV that does not know them refuses to open
        capture = cv2.VideoCapture(request.address.target, cv2.CAP_GSTREAMER)
    else:
        limits = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(1e3 * request.open_timeout_s)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(1e3 * request.read_timeout_s)),
        ]
        capture = cv2.VideoCapture(request.address.target, cv2.CAP_FFMPEG, limits)
    if capture.isOpened():
        return capture
    capture.release()
    raise SourceNotFoundError(
        f"{request.address.shown} does not answer as a camera",
        source=request.name,
        next_step="Try the pipeline with gst-launch-1.0"
        if pipeline
        else "Check address, network, user and password of the camera",
    )
