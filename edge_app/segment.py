"""``edge-app segment``: one picture through the classical operations, for a person to look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_app.errors import ConfigError, PreprocessError, SourceError, SourceNotFoundError
from edge_app.preprocess.face import Picture, as_rgb, to_grey
from edge_app.preprocess.segmentation import clusters, histogram, morphology, thresholds
from edge_app.preprocess.segmentation.pictures import Mask, to_eight_bits
from edge_app.sinks.files import make_private, writing_to

MAX_SIDE_PX = 1024
"""Pictures with a longer side are made smaller first: clustering takes too long on them."""
THICKEN_PASSES = 2


@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """What a person may choose.

    Args:
        window_px: side of the window of ``adaptive``; it moves by half of it.
        clusters: of the k-means methods.
        seed: of the k-means methods.
    """

    window_px: int = 16
    clusters: int = 3
    seed: int = 0


Method = Callable[[Picture, SegmentOptions], "Picture | Mask"]


def otsu_foreground(rgb: Picture) -> Mask:
    """Return the mask by Otsu's threshold, on which the morphology of the sheet works.

    Args:
        rgb: (height, width, 3) uint8.

    Returns:
        (height, width) bool.
    """
    grey = to_grey(rgb)
    return thresholds.foreground(grey, thresholds.otsu_threshold(grey))


def _by_basic_threshold(rgb: Picture, _: SegmentOptions) -> Mask:
    grey = to_grey(rgb)
    return thresholds.foreground(grey, thresholds.basic_global_threshold(grey))


def _by_window(rgb: Picture, options: SegmentOptions) -> Mask:
    return thresholds.adaptive_foreground(to_grey(rgb), window_px=options.window_px)


def _by_colour(rgb: Picture, options: SegmentOptions) -> Picture:
    return clusters.kmeans_colour(rgb, options.clusters, seed=options.seed).painted()


def _by_colour_and_place(rgb: Picture, options: SegmentOptions) -> Picture:
    found = clusters.kmeans_colour_and_place(rgb, options.clusters, seed=options.seed)
    return found.painted()


def _upper_edges(rgb: Picture, _: SegmentOptions) -> Mask:
    """Find three pixels of foreground beside each other with background above them."""
    wanted, unwanted = np.zeros((2, 3, 3), np.bool_)
    wanted[1] = unwanted[0] = True
    return morphology.hit_or_miss(otsu_foreground(rgb), wanted, unwanted)


def _by_square(operation: Callable[[Any, Any], Mask]) -> Method:
    return lambda rgb, _: operation(otsu_foreground(rgb), morphology.full_element(3))


METHODS: dict[str, Method] = {
    "basic-global": _by_basic_threshold,
    "otsu": lambda rgb, _: otsu_foreground(rgb),
    "adaptive": _by_window,
    "kmeans-colour": _by_colour,
    "kmeans-colour-place": _by_colour_and_place,
    "erosion": _by_square(morphology.erode),
    "dilation": _by_square(morphology.dilate),
    "opening": _by_square(morphology.opening),
    "closing": _by_square(morphology.closing),
    "hit-or-miss": _upper_edges,
    "thinning": lambda rgb, _: morphology.thin(otsu_foreground(rgb)),
    "thickening": lambda rgb, _: morphology.thicken(otsu_foreground(rgb), passes=THICKEN_PASSES),
    "equalised": lambda rgb, _: histogram.equalise(to_grey(rgb)),
    "clahe": lambda rgb, _: histogram.clahe(to_grey(rgb)),
}
"""Name on the command line, and what it makes of a picture. Morphology: 3x3, on Otsu's mask."""


def segment(rgb: Picture, method: str, options: SegmentOptions) -> Picture:
    """Return what a method makes of a picture.

    Args:
        rgb: (height, width, 3) uint8.
        method: one of ``METHODS``.
        options: what a person chose.

    Returns:
        (height, width) or (height, width, 3) uint8; foreground is 255, background 0.

    Raises:
        ConfigError: options that cannot be used, or a library that is not installed.
        PreprocessError: a picture that cannot be segmented so.
    """
    return to_eight_bits(METHODS[method](rgb, options))


def read_picture(path: Path) -> Picture:
    """Return a picture as the operations take it.

    Args:
        path: any file that OpenCV reads: grey or colour, 8 or 16 bits, floats from 0 to 1.
            Opacity is ignored, the camera's orientation is followed.

    Returns:
        (height, width, 3) uint8 RGB, the longer side at most ``MAX_SIDE_PX``.

    Raises:
        SourceNotFoundError: no such file, or a folder.
        SourceError: not a picture.
        PreprocessError: floats out of range.
    """
    import cv2

    if path.is_dir():
        raise SourceNotFoundError(
            "this is a folder; one picture is wanted",
            source=str(path),
            next_step="Name one picture in it",
        )
    if not path.is_file():
        raise SourceNotFoundError(
            "no such picture", source=str(path), next_step="Check the spelling"
        )
    try:
        encoded = np.fromfile(path, np.uint8)
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
        bgr = cv2.imdecode(encoded, flags) if encoded.size else None
    except (OSError, cv2.error) as error:
        raise _no_picture(path, f"cannot be read: {error}") from error
    if bgr is None:
        raise _no_picture(path, "is no picture that can be decoded")
    try:
        rgb = as_rgb(to_eight_bits(np.ascontiguousarray(np.asarray(bgr)[:, :, ::-1])))
    except PreprocessError as error:
        error.source = str(path)
        raise
    shrink = MAX_SIDE_PX / max(rgb.shape[:2])
    if shrink >= 1.0:
        return rgb
    height, width = (max(1, round(shrink * side)) for side in rgb.shape[:2])
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def check_request(image: Path, method: str | None, out: Path) -> None:
    """Refuse what cannot be meant, before anything is computed.

    Args:
        image: the picture that is read.
        method: one of ``METHODS``, or None for the sheet.
        out: where the result goes.

    Raises:
        ConfigError: another method, or an output that is not a PNG or is the picture itself.
    """
    if method is not None and method not in METHODS:
        raise ConfigError(
            "no such --method",
            expected=", ".join(METHODS),
            got=method,
            next_step="Correct --method, or leave it away for all of them on one sheet",
        )
    same = out.exists() and image.exists() and out.samefile(image)
    if out.suffix.lower() != ".png" or same:
        raise ConfigError(
            "--out cannot be used",
            expected="a PNG file, another one than the picture",
            got=out,
            next_step="Correct --out, such as --out sheet.png",
        )


def write_png(path: Path, picture: Picture) -> None:
    """Write a picture, readable by its owner only: it may show a person.

    Args:
        path: an earlier file is replaced.
        picture: (height, width) or (height, width, 3) uint8 RGB.

    Raises:
        SinkError: it cannot be written.
    """
    import cv2

    shown = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, png = cv2.imencode(".png", shown)
    with writing_to(path):
        make_private(path)
        path.write_bytes(png.tobytes())


def _no_picture(path: Path, problem: str) -> SourceError:
    return SourceError(problem, source=str(path), next_step="Name a picture, such as a PNG")
