"""What is asked of a camera, what it answers, and the few calls by which it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from edge_app.sources.camera_address import CameraAddress


class Capture(Protocol):
    """What is used of ``cv2.VideoCapture``; its names, so that it fits as it is."""

    def isOpened(self) -> bool:  # noqa: N802
        """Whether there is a camera."""

    def grab(self) -> bool:
        """Wait for the next frame; False when there is none."""

    def retrieve(self) -> tuple[bool, Any]:
        """Decode the frame that was grabbed: whether it could be, and (h, w, 3) uint8 BGR."""

    def get(self, property_id: int, /) -> float:
        """Return a setting, 0 where it is not known."""

    def set(self, property_id: int, value: float, /) -> bool:
        """Ask for a setting; False when it is refused."""

    def release(self) -> None:
        """Let go of the camera."""


@dataclass(frozen=True, slots=True)
class CameraRequest:
    """What is asked of a camera.

    Args:
        name: the stream's name.
        address: where it is.
        width_px: None: the camera's own choice.
        height_px: None: the camera's own choice.
        rate_hz: frames a second; None: the camera's own choice.
        pixel_format: four characters such as ``MJPG``; None: the camera's own choice.
        open_timeout_s: how long a network camera may take to answer.
        read_timeout_s: how long a network camera may be silent within one read.
    """

    name: str
    address: CameraAddress
    width_px: int | None
    height_px: int | None
    rate_hz: float | None
    pixel_format: str | None
    open_timeout_s: float
    read_timeout_s: float


OpenCapture = Callable[[CameraRequest], Capture]


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """What a camera says it does, after having been asked.

    Args:
        rate_hz: frames a second, None when what it says is no frame rate.
        assumptions: where it differs from what was asked.
    """

    rate_hz: float | None
    assumptions: tuple[str, ...]
