"""Accuracy through the bedside's own chain, detector to crop to model, and where the loss arises.

Every labelled picture is enlarged and framed (``framing``: the surroundings are made up), then
given to the face chain of the bedside as a still. Beside its answers stand those on the bare
pictures, and those on the true square cut out of the frame: between bare and true square lies the
resampling, between true square and the chain's crop its place and size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.inference.manifest import FaceConditioning
from edge_app.preprocess.face import FaceBox, FaceDetector, Picture, crop_face
from edge_app.preprocess.face_finder import FaceFinder, FaceSettings
from trainer.emotion_evaluation.framing import frame_face

Predict = Callable[[Picture], npt.NDArray[np.float32]]
"""(n, size, size) uint8 grey crops to (n, n_labels) probabilities."""
MARGINS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
FOUND = "found"


@dataclass(frozen=True, slots=True)
class ChainReading:
    """What the chain makes of one framed picture.

    Args:
        square: where the picture lies in its frame.
        box: the detector's; None: no face.
        crop: what the model gets; None where there is a reason.
        true_crop: the picture's own square, cut out of the frame.
        reason: ``found``, or why there is no crop.
        crops: one for each (margin, level_eyes) asked for; empty without a box.
    """

    square: FaceBox
    box: FaceBox | None
    crop: Picture | None
    true_crop: Picture
    reason: str
    crops: tuple[Picture, ...]


def read_framed(
    face: Picture,
    seed: tuple[int, int],
    finder: FaceFinder,
    conditioning: FaceConditioning,
    ways: Sequence[tuple[float, bool]] = (),
) -> ChainReading:
    """Frame a picture and give it to the chain.

    Args:
        face: (size, size) uint8 grey.
        seed: of its size and place in the frame, see ``frame_face``.
        finder: the chain, for stills.
        conditioning: what the model asks.
        ways: pairs of margin and level_eyes to cut as well.

    Returns:
        What the chain says and cuts.
    """
    framed = frame_face(face, seed)
    reading = finder.update(0.0, framed.frame)
    size_px, box = conditioning.size_px, reading.box
    crops: tuple[Picture, ...] = ()
    if box is not None:
        crops = tuple(
            crop_face(framed.frame, box, size_px=size_px, margin=margin, level_eyes=level)
            for margin, level in ways
        )
    return ChainReading(
        square=framed.square,
        box=box,
        crop=reading.crop,
        true_crop=crop_face(framed.frame, framed.square, size_px=size_px, margin=0.0),
        reason=FOUND if reading.reason is None else str(reading.reason.value),
        crops=crops,
    )


def through_detector(
    faces: Picture,
    targets: npt.NDArray[np.int64],
    detector: FaceDetector,
    conditioning: FaceConditioning,
    predict: Predict,
    *,
    name: str,
    ways: Sequence[tuple[float, bool]] = (),
    seed: int = 1,
) -> dict[str, Any]:
    """Return accuracy through the chain beside accuracy on bare pictures, as plain JSON values.

    Args:
        faces: (n, size, size) uint8 grey.
        targets: (n,) classes.
        detector: the bedside's.
        conditioning: what the model asks: margin, size, the limits of the quality gate.
        predict: the bundle.
        name: of the detector.
        ways: pairs of margin and level_eyes to score as well, on all faces with a box.
        seed: of the frames.

    Returns:
        ``detector``, ``n``, ``found`` (share), ``reasons`` (picture counts), ``accuracy``: ``bare``
        (all), ``through`` (missed ones wrong), and of the found ones alone ``bare_found``,
        ``true_square_found``, ``through_found``, with ``bare_missed``; ``loss`` in points by cause;
        ``geometry`` (means and spreads, shares of the true side); ``margins`` where asked for.
    """
    finder = FaceFinder(detector, conditioning, FaceSettings(stills=True))
    readings = [
        read_framed(face, (seed, i), finder, conditioning, ways) for i, face in enumerate(faces)
    ]
    right_bare = _right(predict, faces, targets)
    found = np.array([reading.crop is not None for reading in readings], dtype=np.bool_)
    crops = [reading.crop for reading in readings if reading.crop is not None]
    right_square = _right(
        predict, np.stack([reading.true_crop for reading in readings])[found], targets[found]
    )
    right_through = _right(predict, _stack(crops, faces), targets[found])
    bare, bare_found = right_bare.mean(), _mean(right_bare[found])
    square, through = _mean(right_square), _mean(right_through)
    counted = float(right_through.sum()) / len(targets)
    figures: dict[str, Any] = {
        "detector": name,
        "frames": "made up: each picture enlarged, its border drawn outwards and blurred",
        "n": len(targets),
        "found": float(found.mean()),
        "reasons": dict(Counter(reading.reason for reading in readings).most_common()),
        "accuracy": {
            "bare": float(bare),
            "through": counted,
            "bare_found": bare_found,
            "true_square_found": square,
            "through_found": through,
            "bare_missed": _mean(right_bare[~found]),
        },
        "loss": {
            "missed": float((right_bare & ~found).sum()) / len(targets),
            "resampling": (bare_found - square) * float(found.mean()),
            "place_and_size": (square - through) * float(found.mean()),
            "total": float(bare) - counted,
        },
        "geometry": geometry(readings),
    }
    if ways:
        figures["margins"] = _ways(readings, targets, ways, predict)
    return figures


def geometry(readings: Sequence[ChainReading]) -> dict[str, Any]:
    """Return where boxes lie relative to the true squares.

    Args:
        readings: of the chain.

    Returns:
        Mean and standard deviation of ``side`` (the box's longer one) and of the ``right`` and
        ``down`` offsets of its middle, all as shares of the true side; ``margin_of_mean_side``: the
        margin that gives boxes of the mean side the size of the true squares.
    """
    rows = []
    for reading in readings:
        if reading.box is not None:
            (x, y), (true_x, true_y) = reading.box.centre_px, reading.square.centre_px
            side = reading.square.side_px
            rows.append((reading.box.side_px / side, (x - true_x) / side, (y - true_y) / side))
    if not rows:
        return {}
    table = np.array(rows)
    figures: dict[str, Any] = {
        name: {"mean": float(column.mean()), "sd": float(column.std())}
        for name, column in zip(("side", "right", "down"), table.T, strict=True)
    }
    return figures | {"margin_of_mean_side": float((1.0 / table[:, 0].mean() - 1.0) / 2.0)}


def way_name(margin: float, level_eyes: bool) -> str:
    """Return for instance ``0.10, eyes level``."""
    return f"{margin:.2f}{', eyes level' if level_eyes else ''}"


def _ways(
    readings: Sequence[ChainReading],
    targets: npt.NDArray[np.int64],
    ways: Sequence[tuple[float, bool]],
    predict: Predict,
) -> dict[str, float]:
    boxed = np.array([reading.box is not None for reading in readings], dtype=np.bool_)
    if not boxed.any():
        return {}
    crops = [reading.crops for reading in readings if reading.box is not None]
    return {
        way_name(*way): _mean(_right(predict, np.stack([row[i] for row in crops]), targets[boxed]))
        for i, way in enumerate(ways)
    }


def _right(
    predict: Predict, faces: Picture, targets: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    if not len(faces):
        return np.zeros(0, dtype=np.bool_)
    return np.asarray(predict(faces).argmax(axis=1) == targets, dtype=np.bool_)


def _stack(crops: list[Picture], like: Picture) -> Picture:
    return np.stack(crops) if crops else like[:0]


def _mean(right: npt.NDArray[np.bool_]) -> float:
    """Return the share of right answers; 0 where there are none."""
    return float(right.mean()) if len(right) else 0.0
