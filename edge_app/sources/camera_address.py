"""How a camera is named: V4L2 index or path, network address, GStreamer pipeline, video file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edge_app.errors import ConfigError

CameraKind = Literal["v4l2", "url", "gstreamer", "file"]


@dataclass(frozen=True, slots=True)
class CameraAddress:
    """Where the pictures come from.

    Args:
        kind: which road leads there.
        target: device path, URL, pipeline or file path, as OpenCV wants it; may hold a password.
    """

    kind: CameraKind
    target: str = field(repr=False)

    @property
    def shown(self) -> str:
        """The address for logs and files: without user, password and query of a URL."""
        if self.kind == "file":
            return Path(self.target).name
        hidden = re.sub(r"(\w+://)[^/\s]*@", r"\1***@", self.target)
        return re.sub(r"(\w+://[^?\s\"]*)\?[^\s\"]*", r"\1?***", hidden)


def parse_camera(device: int | str) -> CameraAddress:
    """Tell what kind of camera a configured device names.

    Args:
        device: V4L2 index (0 is ``/dev/video0``), a path in ``/dev``, a URL such as
            ``rtsp://host/stream``, a GStreamer pipeline (elements joined by ``!``), or the path of
            a video file.

    Returns:
        Kind and target.

    Raises:
        ConfigError: an empty text or a negative index.
    """
    text = str(device).strip()
    if re.fullmatch(r"\d+", text):
        return CameraAddress("v4l2", f"/dev/video{int(text)}")
    if not text or isinstance(device, int):
        raise ConfigError(
            "no camera is named like this",
            expected="index, path in /dev, URL, GStreamer pipeline or video file",
            got=repr(device),
            next_step="List the cameras with `edge-app devices`",
        )
    if re.search(r"\s!\s", text):
        return CameraAddress("gstreamer", text)
    if re.match(r"\w+://", text):
        return CameraAddress("url", text)
    return CameraAddress("v4l2" if text.startswith("/dev/") else "file", text)
