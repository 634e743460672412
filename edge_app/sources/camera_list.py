"""Which cameras are plugged in: from the kernel's list, asked for their pixel formats."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# linux/videodev2.h: _IOWR('V', 2, struct v4l2_fmtdesc) and _IOWR('V', 74, struct v4l2_frmsizeenum).
VIDIOC_ENUM_FMT = 0xC0405602
VIDIOC_ENUM_FRAMESIZES = 0xC02C564A
FMT_DESC = struct.Struct("=III32sII12x")
"""index, type, flags, description, pixelformat, mbus_code."""
FRAME_SIZE = struct.Struct("=IIIII24x")
"""index, pixel_format, type, width and height of a discrete size."""
_CAPTURE = 1
_DISCRETE = 1
_MOST_ENTRIES = 64

Ioctl = Callable[[int, int, bytearray], object]


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """One way in which a camera sends pictures.

    Args:
        fourcc: four characters, as ``pixel_format`` of a camera's configuration takes them.
        sizes_px: (width, height), largest first; empty when the camera does not list them.
    """

    fourcc: str
    sizes_px: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class CameraFound:
    """One V4L2 camera.

    Args:
        name: what it calls itself.
        node: such as ``/dev/video0``; may be another one after the next start.
        stable_path: its path in ``/dev/v4l/by-id``, which stays; None when there is none.
        usable: whether this user may open it.
        formats: what it can send; empty when it cannot be asked.
    """

    name: str
    node: str
    stable_path: str | None
    usable: bool
    formats: tuple[PixelFormat, ...]

    @property
    def address(self) -> str:
        """How to name it in a configuration."""
        return self.stable_path or self.node

    @property
    def details(self) -> str:
        """The rest, in words."""
        if not self.usable:
            return f"V4L2, {self.node}, no permission: run `sudo usermod -aG video $USER`"
        modes = [
            f"{form.fourcc} up to {form.sizes_px[0][0]}x{form.sizes_px[0][1]}"
            if form.sizes_px
            else form.fourcc
            for form in self.formats
        ]
        return ", ".join(["V4L2", self.node, *modes])


def find_cameras(
    sys_folder: Path = Path("/sys/class/video4linux"),
    dev_folder: Path = Path("/dev"),
    ioctl: Ioctl = fcntl.ioctl,
) -> list[CameraFound]:
    """Look for the V4L2 cameras that the kernel knows.

    Args:
        sys_folder: where the kernel lists them.
        dev_folder: where the device nodes are.
        ioctl: asks a device.

    Returns:
        One entry a camera that can send pictures, in the kernel's order.
    """
    found = []
    listed = sys_folder.glob("video*") if sys_folder.is_dir() else []
    for entry in sorted(listed, key=lambda entry: (len(entry.name), entry.name)):
        if _text(entry / "index") not in ("0", ""):  # further nodes of a camera carry metadata
            continue
        node = dev_folder / entry.name
        found.append(
            CameraFound(
                name=_text(entry / "name") or entry.name,
                node=str(node),
                stable_path=_stable_path(node, dev_folder / "v4l" / "by-id"),
                usable=os.access(node, os.R_OK | os.W_OK),
                formats=_formats(node, ioctl),
            )
        )
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _stable_path(node: Path, folder: Path) -> str | None:
    links = sorted(folder.iterdir()) if folder.is_dir() else []
    return next((str(link) for link in links if link.resolve() == node.resolve()), None)


def _formats(node: Path, ioctl: Ioctl) -> tuple[PixelFormat, ...]:
    try:
        descriptor = os.open(node, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return ()
    try:
        return tuple(
            PixelFormat(
                code.to_bytes(4, "little").decode("ascii", errors="replace"),
                tuple(sorted(_sizes(descriptor, code, ioctl), reverse=True)),
            )
            for code in _codes(descriptor, ioctl)
        )
    finally:
        os.close(descriptor)


def _codes(descriptor: int, ioctl: Ioctl) -> Iterator[int]:
    for index in range(_MOST_ENTRIES):
        answer = bytearray(FMT_DESC.pack(index, _CAPTURE, 0, b"", 0, 0))
        try:
            ioctl(descriptor, VIDIOC_ENUM_FMT, answer)
        except OSError:  # EINVAL: no more of them
            return
        yield FMT_DESC.unpack(answer)[4]


def _sizes(descriptor: int, code: int, ioctl: Ioctl) -> Iterator[tuple[int, int]]:
    with suppress(OSError):  # EINVAL: no more of them; ENOTTY: it cannot say
        for index in range(_MOST_ENTRIES):
            answer = bytearray(FRAME_SIZE.pack(index, code, 0, 0, 0))
            ioctl(descriptor, VIDIOC_ENUM_FRAMESIZES, answer)
            _, _, kind, width, height = FRAME_SIZE.unpack(answer)
            if kind != _DISCRETE:
                return
            yield width, height
