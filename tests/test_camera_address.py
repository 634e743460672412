"""How a configured device is understood, and that a password never leaves it."""

from __future__ import annotations

import pytest

from edge_app.errors import ConfigError
from edge_app.sources.camera_address import CameraKind, parse_camera


@pytest.mark.parametrize(
    ("device", "kind", "target"),
    [
        (0, "v4l2", "/dev/video0"),
        ("2", "v4l2", "/dev/video2"),
        ("/dev/video1", "v4l2", "/dev/video1"),
        ("/dev/v4l/by-id/usb-Maker_Cam-index0", "v4l2", "/dev/v4l/by-id/usb-Maker_Cam-index0"),
        ("rtsp://10.0.0.7:554/live", "url", "rtsp://10.0.0.7:554/live"),
        ("http://cam.local/stream.mjpg", "url", "http://cam.local/stream.mjpg"),
        (
            "nvarguscamerasrc ! nvvidconv ! appsink",
            "gstreamer",
            "nvarguscamerasrc ! nvvidconv ! appsink",
        ),
        ("rtspsrc location=rtsp://h/s ! appsink", "gstreamer", None),
        ("clips/face.mp4", "file", "clips/face.mp4"),
        ("/films/hello! world.mp4", "file", "/films/hello! world.mp4"),
    ],
)
def test_each_kind_of_device_is_recognised(
    device: int | str, kind: CameraKind, target: str | None
) -> None:
    address = parse_camera(device)
    assert address.kind == kind
    assert target in (None, address.target)


@pytest.mark.parametrize("device", ["", "  ", -1])
def test_what_names_no_camera_is_refused(device: int | str) -> None:
    with pytest.raises(ConfigError, match="no camera"):
        parse_camera(device)


@pytest.mark.parametrize(
    "device",
    [
        "rtsp://nurse:hunter2@10.0.0.7/live",
        "rtsp://nurse:hunter2@10.0.0.7/live?x=hunter2",
        "http://10.0.0.7/s.mjpg?user=nurse&pass=hunter2",
        "rtspsrc location=rtsp://nurse:hunter2@10.0.0.7/live ! decodebin ! appsink",
        'rtspsrc location="http://10.0.0.7/live?pass=hunter2" latency=0 ! appsink',
    ],
)
def test_a_password_is_not_shown(device: str) -> None:
    address = parse_camera(device)
    assert "hunter2" in address.target
    assert "hunter2" not in address.shown
    assert "10.0.0.7" in address.shown
