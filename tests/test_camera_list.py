"""The kernel's list of cameras, made in a folder; a driver that answers as videodev2.h says."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest

from edge_app.sources.camera_list import CameraFound, PixelFormat, find_cameras


def plug_in(root: Path, node: str, name: str, index: int = 0, by_id: str | None = None) -> None:
    entry = root / "sys" / node
    entry.mkdir(parents=True)
    (entry / "name").write_text(f"{name}\n")
    (entry / "index").write_text(f"{index}\n")
    dev = root / "dev"
    (dev / "v4l" / "by-id").mkdir(parents=True, exist_ok=True)
    (dev / node).write_bytes(b"")
    if by_id is not None:
        (dev / "v4l" / "by-id" / by_id).symlink_to(Path("..") / ".." / node)


def driver(_descriptor: int, request: int, answer: bytearray) -> int:
    """A camera with MJPG in two listed sizes, and YUYV in any size between two.

    Offsets are those of ``struct v4l2_fmtdesc`` (64 bytes) and ``v4l2_frmsizeenum`` (44 bytes).
    """
    index = struct.unpack_from("=I", answer, 0)[0]
    end = OSError(errno.EINVAL, "no more")
    if (request & 0xFF) == 2:
        assert len(answer) == (request >> 16) & 0x3FFF == 64
        assert struct.unpack_from("=I", answer, 4)[0] == 1  # V4L2_BUF_TYPE_VIDEO_CAPTURE
        if index > 1:
            raise end
        answer[44:48] = [b"MJPG", b"YUYV"][index]
        return 0
    assert (request & 0xFF) == 74
    assert len(answer) == (request >> 16) & 0x3FFF == 44
    if bytes(answer[4:8]) == b"YUYV":
        struct.pack_into("=IIIII", answer, 8, 3, 16, 1920, 2, 16)  # stepwise
        return 0
    if index > 1:
        raise end
    struct.pack_into("=III", answer, 8, 1, *[(640, 480), (1280, 720)][index])
    return 0


def listed(root: Path) -> list[CameraFound]:
    return find_cameras(root / "sys", root / "dev", driver)


def test_a_camera_is_listed_with_its_lasting_path_and_formats(tmp_path: Path) -> None:
    plug_in(tmp_path, "video0", "HD Webcam", by_id="usb-Maker_HD_Webcam-video-index0")
    plug_in(tmp_path, "video1", "HD Webcam", index=1)  # metadata, no pictures
    (camera,) = listed(tmp_path)
    assert camera.name == "HD Webcam"
    assert camera.address.endswith("/dev/v4l/by-id/usb-Maker_HD_Webcam-video-index0")
    assert Path(camera.address).resolve() == Path(camera.node)
    assert camera.formats == (
        PixelFormat("MJPG", ((1280, 720), (640, 480))),
        PixelFormat("YUYV", ()),
    )
    assert "MJPG up to 1280x720, YUYV" in camera.details


def test_cameras_come_in_the_kernels_order(tmp_path: Path) -> None:
    for number in (10, 2, 0):
        plug_in(tmp_path, f"video{number}", f"camera {number}")
    assert [camera.name for camera in listed(tmp_path)] == ["camera 0", "camera 2", "camera 10"]
    assert listed(tmp_path)[0].address == str(tmp_path / "dev" / "video0")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_camera_without_permission_says_what_to_do(tmp_path: Path) -> None:
    plug_in(tmp_path, "video0", "HD Webcam")
    (tmp_path / "dev" / "video0").chmod(0)
    (camera,) = listed(tmp_path)
    assert not camera.usable
    assert "usermod -aG video" in camera.details


def test_a_camera_without_permission_is_listed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object, *_: object) -> int:
        raise PermissionError(path)

    plug_in(tmp_path, "video0", "HD Webcam")
    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "access", lambda *_: False)
    (camera,) = listed(tmp_path)
    assert camera.formats == ()
    assert "usermod -aG video" in camera.details


def test_a_machine_without_cameras_lists_none(tmp_path: Path) -> None:
    assert find_cameras(tmp_path / "nothing", tmp_path) == []


def test_a_driver_that_cannot_be_asked_is_listed_without_formats(tmp_path: Path) -> None:
    plug_in(tmp_path, "video0", "loopback")
    (camera,) = find_cameras(tmp_path / "sys", tmp_path / "dev")  # a plain file knows no ioctl
    assert camera.formats == ()
    assert camera.usable
