"""How many frames a second to expect of a camera: what it says, what was asked, what is measured.

The driver of a USB camera knows its rate, or says something that is no rate. Over a network or
pipeline the stated rate is often a guess (FFmpeg says 25 of every Motion-JPEG stream), so there the
configured rate counts, and without one the rate is measured.
"""

from __future__ import annotations

import math

from edge_app.sources.camera_request import CameraRequest, CameraSettings

MAX_PLAUSIBLE_HZ = 240.0
"""Above it a rate is a time base that the driver gives for want of a rate (1000, 90000)."""
SAME_RATE_SHARE = 0.2
FALLBACK_HZ = 30.0


def plausible_hz(stated_hz: float) -> float | None:
    """Return a stated rate if it can be one, else None."""
    return stated_hz if math.isfinite(stated_hz) and 0 < stated_hz <= MAX_PLAUSIBLE_HZ else None


def must_measure(request: CameraRequest, settings: CameraSettings) -> bool:
    """Whether nobody can say the rate."""
    return _trusted_hz(request, settings) is None


def expected_rate(
    request: CameraRequest, settings: CameraSettings, measured_hz: float | None
) -> tuple[float, tuple[str, ...]]:
    """Decide on the rate of an opened camera.

    Args:
        request: what was asked.
        settings: what the camera says.
        measured_hz: frames a second that came, None when too few did.

    Returns:
        Frames a second, and what had to be assumed for it.
    """
    trusted_hz = _trusted_hz(request, settings)
    if trusted_hz is not None:
        return trusted_hz, ()
    stated_hz = settings.rate_hz
    if measured_hz is None:
        rate_hz = request.rate_hz or stated_hz or FALLBACK_HZ
        return rate_hz, (f"{rate_hz:g} frames a second: the camera does not say",)
    if stated_hz is not None and abs(measured_hz / stated_hz - 1.0) < SAME_RATE_SHARE:
        return stated_hz, ()
    said = "no usable rate" if stated_hz is None else f"{stated_hz:g}"
    rate_hz = round(measured_hz, 1)
    return rate_hz, (f"{rate_hz:g} frames a second as measured; it says {said}",)


def _trusted_hz(request: CameraRequest, settings: CameraSettings) -> float | None:
    remote = request.address.kind in ("url", "gstreamer")
    return request.rate_hz if remote else settings.rate_hz
