"""How long each classical operation takes on a face crop, on one thread.

    python benchmarks/segmentation.py --size 64

Feeds simulated pictures, smooth blobs and plain noise; prints p50 and p95 of each. What runs
live has to stay within 1 ms a crop of 64x64; the rest is for sheets and audits.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, get_args

import cv2
import numpy as np

from edge_app.inference.manifest import Illumination
from edge_app.preprocess.face_illumination import normalise_illumination
from edge_app.preprocess.segmentation import clusters, histogram, morphology, thresholds

Operation = Callable[[Any, Any, Any], object]
ELEMENT = morphology.full_element(3)
EDGE_ABOVE = np.array([[1, 1, 1], [0, 0, 0], [0, 0, 0]], np.bool_)
LINE = np.array([[0, 0, 0], [1, 1, 1], [0, 0, 0]], np.bool_)
LIVE: dict[str, Operation] = {
    "histogram": lambda grey, *_: histogram.histogram(grey),
    "normalised histogram": lambda grey, *_: histogram.normalised_histogram(grey),
    "entropy": lambda grey, *_: histogram.entropy_bits(grey),
    "equalise": lambda grey, *_: histogram.equalise(grey),
    "CLAHE": lambda grey, *_: histogram.clahe(grey),
    "basic global threshold": lambda grey, *_: thresholds.basic_global_threshold(grey),
    "Otsu": lambda grey, *_: thresholds.otsu_threshold(grey),
    "adaptive, tiles of 16": lambda grey, *_: thresholds.adaptive_foreground(grey, step_px=16),
    "adaptive, 16 by steps of 8": lambda grey, *_: thresholds.adaptive_foreground(grey),
    "erode": lambda _, mask, __: morphology.erode(mask, ELEMENT),
    "dilate": lambda _, mask, __: morphology.dilate(mask, ELEMENT),
    "open": lambda _, mask, __: morphology.opening(mask, ELEMENT),
    "close": lambda _, mask, __: morphology.closing(mask, ELEMENT),
    "hit or miss": lambda _, mask, __: morphology.hit_or_miss(mask, LINE, EDGE_ABOVE),
}
WAYS: tuple[Illumination, ...] = get_args(Illumination)
LIVE |= {
    f"illumination: {way}": lambda grey, *_, way=way: normalise_illumination(grey, way)
    for way in WAYS
    if way != "none"
}
NOT_LIVE: dict[str, Operation] = {
    "k-means, colour, k 3": lambda *given: clusters.kmeans_colour(given[2], 3),
    "k-means, colour and place, k 3": lambda *given: clusters.kmeans_colour_and_place(given[2], 3),
    "thin": lambda _, mask, __: morphology.thin(mask),
    "thicken by 2": lambda _, mask, __: morphology.thicken(mask, passes=2),
}


def crops(size_px: int, seed: int) -> list[Any]:
    """Return simulated crops: smooth blobs of light with noise, and noise alone."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (8, size_px, size_px, 3)).astype(np.uint8)
    smooth = [cv2.GaussianBlur(one, (0, 0), size_px / 8) for one in noise]
    spread = [cv2.normalize(one, None, 0, 255, cv2.NORM_MINMAX) for one in smooth]
    return [*spread, *noise]


def took_ms(operation: Operation, pictures: list[Any], repeats: int) -> list[float]:
    """Return how long each call took, the pictures in turn."""
    given = []
    for rgb in pictures:
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        given.append((grey, thresholds.foreground(grey, thresholds.otsu_threshold(grey)), rgb))
    operation(*given[0])
    times_ms = []
    for index in range(repeats):
        started_s = time.perf_counter()
        operation(*given[index % len(given)])
        times_ms.append(1e3 * (time.perf_counter() - started_s))
    return times_ms


def main() -> None:
    """Parse the command line, time every operation, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64, help="side of the crop in pixels")
    parser.add_argument("--repeats", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    pictures = crops(given.size, given.seed)
    for heading, operations in (("may run live", LIVE), ("never live", NOT_LIVE)):
        print(f"{heading}, {given.size}x{given.size}:")
        for name, operation in operations.items():
            times_ms = took_ms(operation, pictures, given.repeats)
            p50_ms, p95_ms = np.percentile(times_ms, [50, 95])
            print(f"  {name:32} p50 {p50_ms:7.3f} ms  p95 {p95_ms:7.3f} ms")


if __name__ == "__main__":
    main()
