"""The real OpenCV: a file in a loop, a network camera on loopback, settings, opening errors."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_app.contracts import Overflow
from edge_app.errors import ConfigError, SourceError, SourceLostError, SourceNotFoundError
from edge_app.sources.camera_address import CameraAddress
from edge_app.sources.camera_open import has_gstreamer, holders, open_with_opencv, set_up
from edge_app.sources.camera_rate import expected_rate, plausible_hz
from edge_app.sources.camera_request import CameraRequest, CameraSettings, Capture
from edge_app.sources.opencv_camera import CameraSource
from tests.camera_double import (
    CameraDouble,
    camera_video,
    read_video,
    write_textured_video,
)
from tests.camera_network import NetworkCamera
from tests.camera_viewer import Viewer, descriptors


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    return read_video(camera_video(tmp_path_factory.mktemp("video")), n_frames=24)


@pytest.fixture
def network(frames: list[np.ndarray]) -> Iterator[NetworkCamera]:
    with NetworkCamera(frames) as camera:
        yield camera


async def test_a_file_is_played_in_a_loop_at_its_own_pace_and_says_so(tmp_path: Path) -> None:
    path = write_textured_video(tmp_path / "face.avi", n_frames=6, rate_hz=50.0)
    source = CameraSource(name="face", device=str(path))
    async with Viewer(source) as viewer:
        await viewer.frames(30)  # five times through
    assert source.overflow is Overflow.NEWEST
    assert viewer.info.rate_hz == 50.0
    assert not viewer.info.simulated  # a real recording may stand there
    assert "video file face.avi in a loop" in viewer.info.device
    assert "a video file in a loop stands for a camera" in source.assumptions
    stamps_s = np.concatenate([chunk.times_s for chunk in viewer.chunks])
    assert np.median(np.diff(stamps_s)) == pytest.approx(1 / 50, rel=0.5)
    assert abs(stamps_s[-1] - time.monotonic()) < 60  # stamps are of the monotonic clock
    capture = cv2.VideoCapture(str(path))
    known = [cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB) for _ in range(6)]
    capture.release()
    for chunk in viewer.chunks:
        assert any(np.array_equal(chunk.samples[0], frame) for frame in known)


async def test_files_opened_hundreds_of_times_leave_no_descriptor(tmp_path: Path) -> None:
    path = write_textured_video(tmp_path / "face.avi", rate_hz=200.0)
    source = CameraSource(name="face", device=str(path))
    async with source:
        await anext(aiter(source))
    before = descriptors()
    for _ in range(200):
        await source.open()
        await anext(aiter(source))
        await source.close()
    assert descriptors() == before


async def test_a_network_camera_is_read_and_its_rate_measured(network: NetworkCamera) -> None:
    """FFmpeg says 25 for every such stream; this one sends 10."""
    network.interval_s = 0.1
    source = CameraSource(name="face", device=network.url)
    async with Viewer(source) as viewer:
        await viewer.frames(5)
    assert viewer.info.rate_hz == pytest.approx(10.0, rel=0.5)
    assert "as measured; it says 25" in " ".join(source.assumptions)
    assert "secret" not in viewer.info.device + " ".join(source.assumptions)
    assert viewer.chunks[0].samples.dtype == np.uint8


async def test_a_network_camera_that_vanishes_is_lost_and_found_again(
    network: NetworkCamera,
) -> None:
    def source() -> CameraSource:
        return CameraSource(name="face", device=network.url, rate_hz=30.0, lost_after_s=60.0)

    async with Viewer(source()) as viewer:
        await viewer.frames(5)
        network.stop()
        await viewer.until(lambda: viewer.failure is not None)
    assert isinstance(viewer.failure, SourceLostError)
    with pytest.raises(SourceNotFoundError) as caught:
        await source().open()
    assert "secret" not in str(caught.value)
    network.start()
    async with Viewer(source()) as again:
        await again.frames(5)


async def test_a_network_camera_that_stalls_is_told_and_closed_in_time(
    network: NetworkCamera,
) -> None:
    source = CameraSource(
        name="face", device=network.url, rate_hz=30.0, warn_after_s=0.3, lost_after_s=0.9
    )
    before = descriptors()
    viewer = Viewer(source)
    await viewer.__aenter__()
    await viewer.frames(5)
    network.fault = "stall"
    await viewer.until(lambda: viewer.failure is not None)
    begun_s = time.monotonic()
    await viewer.__aexit__()
    assert time.monotonic() - begun_s < 1.0
    assert any("no frame for 0.3 s" in text for _, text in viewer.told)
    assert "no frame for 0.9 s" in str(viewer.failure)
    network.fault = None
    async with Viewer(CameraSource(name="face", device=network.url, rate_hz=30.0)) as again:
        await again.frames(5)
    network.stop()
    await viewer.until(lambda: descriptors() <= before)


async def test_damaged_pictures_of_a_network_camera_are_counted_and_skipped(
    network: NetworkCamera,
) -> None:
    source = CameraSource(
        name="face", device=network.url, rate_hz=30.0, warn_after_s=0.3, lost_after_s=60.0
    )
    async with Viewer(source) as viewer:
        await viewer.frames(5)
        network.fault = "damaged"
        await viewer.until(lambda: bool(viewer.source.trouble))
        assert "only damaged ones" in viewer.source.trouble
        await viewer.until(lambda: viewer.figures["bad_frames"] >= 5)
        network.fault = None
        await viewer.until(lambda: not viewer.source.trouble)
        await viewer.frames(5)
    assert viewer.failure is None


async def test_what_the_camera_does_instead_of_what_was_asked_is_said(
    frames: list[np.ndarray],
) -> None:
    camera = CameraDouble(frames, rate_hz=20.0, only_format="YUYV")
    source = CameraSource(
        name="face",
        device=0,
        width_px=1920,
        height_px=frames[0].shape[0],
        rate_hz=30.0,
        pixel_format="MJPG",
        open_capture=camera.open,
    )
    info = await source.open()
    await source.close()
    assert info.rate_hz == 20.0
    assert source.assumptions == (
        "pixel format YUYV instead of MJPG",
        f"width {frames[0].shape[1]} px instead of 1920 px",
        "the camera says 20 frames a second, 30 asked",
    )


def test_a_pixel_format_of_three_characters_is_refused() -> None:
    with pytest.raises(ConfigError, match="four characters"):
        CameraSource(name="face", device=0, pixel_format="MJP")


@pytest.mark.parametrize("stated_hz", [0.0, 90000.0, 1000.0, float("nan"), float("inf"), -1.0])
def test_what_is_no_frame_rate_is_not_believed(stated_hz: float) -> None:
    assert plausible_hz(stated_hz) is None


@pytest.mark.parametrize(
    ("kind", "asked_hz", "stated_hz", "measured_hz", "expected_hz", "assumed"),
    [
        ("v4l2", 30.0, 15.0, 15.1, 15.0, ()),  # a driver is believed
        ("v4l2", 30.0, None, 12.04, 12.0, ("no usable rate",)),
        ("v4l2", 30.0, None, None, 30.0, ("does not say",)),
        ("url", 10.0, 25.0, 9.8, 10.0, ()),  # a network stream is not, the configuration is
        ("url", None, 25.0, 9.96, 10.0, ("it says 25",)),
        ("url", None, 25.0, 24.1, 25.0, ()),
        ("gstreamer", None, None, 29.97, 30.0, ("as measured",)),
        ("url", None, None, None, 30.0, ("does not say",)),
    ],
)
def test_the_rate_is_taken_from_who_knows_it(
    kind: str,
    asked_hz: float | None,
    stated_hz: float | None,
    measured_hz: float | None,
    expected_hz: float,
    assumed: tuple[str, ...],
) -> None:
    asked, says = request(kind, "x", rate_hz=asked_hz), CameraSettings(stated_hz, ())
    rate_hz, said = expected_rate(asked, says, measured_hz)
    assert rate_hz == expected_hz
    assert len(said) == len(assumed)
    assert all(part in sentence for part, sentence in zip(assumed, said, strict=True))


async def test_a_nonsensical_rate_is_measured(frames: list[np.ndarray]) -> None:
    camera = CameraDouble(frames, rate_hz=25.0, stated_hz=90000.0)
    source = CameraSource(name="face", device=0, open_capture=camera.open)
    info = await source.open()
    await source.close()
    assert info.rate_hz == pytest.approx(25.0, rel=0.5)
    assert "as measured; it says no usable rate" in " ".join(source.assumptions)


def request(kind: str, target: str, **settings: object) -> CameraRequest:
    address = CameraAddress(kind, target)  # type: ignore[arg-type]
    given = {
        "width_px": None,
        "height_px": None,
        "rate_hz": None,
        "pixel_format": None,
        "open_timeout_s": 1.0,
        "read_timeout_s": 1.0,
    }
    return CameraRequest("face", address, **(given | settings))  # type: ignore[arg-type]


def test_opencv_offers_what_is_used_of_it(tmp_path: Path) -> None:
    path = write_textured_video(tmp_path / "face.avi")
    capture: Capture = cv2.VideoCapture(str(path))
    assert capture.isOpened()
    assert capture.grab()
    readable, picture = capture.retrieve()
    assert readable
    assert picture.shape == (48, 64, 3)
    settings = set_up(capture, request("file", str(path)))
    assert settings.rate_hz == 30.0
    capture.release()
    for name in ("CAP_V4L2", "CAP_FFMPEG", "CAP_GSTREAMER", "getBuildInformation"):
        assert hasattr(cv2, name)


@pytest.mark.parametrize(
    ("kind", "target", "error", "says"),
    [
        ("v4l2", "/dev/video-none", SourceNotFoundError, "edge-app devices"),
        ("file", "/no/such/clip.mp4", SourceNotFoundError, "no video file"),
        ("url", "http://u:secret@127.0.0.1:9/s.mjpg", SourceNotFoundError, "does not answer"),
        ("gstreamer", "videotestsrc ! appsink", SourceError, "JetPack's own OpenCV"),
    ],
)
def test_what_is_not_there_says_what_to_do(
    kind: str, target: str, error: type[SourceError], says: str
) -> None:
    if kind == "gstreamer" and has_gstreamer(cv2.getBuildInformation()):
        pytest.skip("this OpenCV has GStreamer")
    with pytest.raises(error, match=says) as caught:
        open_with_opencv(request(kind, target))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "has"),
    [
        ("    GStreamer:                   YES (1.20.3)\n", True),
        ("    GStreamer:                   NO\n", False),
        ("    FFMPEG:                      YES\n", False),
    ],
)
def test_gstreamer_is_read_from_the_build_information(line: str, *, has: bool) -> None:
    assert has_gstreamer(f"General configuration\n  Video I/O:\n{line}    v4l/v4l2: YES\n") == has


def test_a_node_without_permission_names_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tmp_path / "video0"
    node.write_bytes(b"")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SourceError, match="usermod -aG video"):
        open_with_opencv(request("v4l2", str(node)))


def test_a_busy_node_names_who_uses_it(tmp_path: Path) -> None:
    node = tmp_path / "video0"
    node.write_bytes(b"")
    assert holders(node) == []
    with node.open("rb"), pytest.raises(SourceError, match=f"is busy: .*{os.getpid()}"):
        open_with_opencv(request("v4l2", str(node)))
    with pytest.raises(SourceError, match="cannot be opened as a camera"):
        open_with_opencv(request("v4l2", str(node)))


@pytest.mark.parametrize("spoil", [lambda whole: whole[:100], lambda _whole: b"no video at all"])
async def test_a_damaged_file_is_refused_and_let_go(
    tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    path = write_textured_video(tmp_path / "face.avi")
    path.write_bytes(spoil(path.read_bytes()))
    before = descriptors()
    with pytest.raises(SourceError):
        await CameraSource(name="face", device=str(path), open_timeout_s=2.0).open()
    assert descriptors() == before
