"""Drawn pictures in the layouts that labelled faces come in; nobody is on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from trainer.datasets.fer2013_facts import LABELS

Pixels = npt.NDArray[np.uint8]


def drawn(n: int, size_px: int = 48, seed: int = 0) -> Pixels:
    """Return (n, size, size) smooth blots, each another."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (n, 6, 6), dtype=np.uint8)
    return np.stack(
        [cv2.resize(one, (size_px, size_px), interpolation=cv2.INTER_LINEAR) for one in coarse]
    )


def picture(path: Path, grey: int, size_px: int = 48) -> None:
    """Write a picture of one grey with a bar on top."""
    pixels = np.full((size_px, size_px), grey, dtype=np.uint8)
    pixels[: size_px // 12] = 255 - grey
    write(path, pixels)


def write(path: Path, pixels: npt.NDArray[np.generic]) -> None:
    """Write pixels in the format of the file's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def jpeg(pixels: Pixels) -> bytes:
    """Return the pixels as a JPEG file."""
    return bytes(cv2.imencode(".jpg", pixels)[1])


def csv_table(path: Path, rows: Sequence[tuple[int, Pixels, str]]) -> Path:
    """Write FER-2013's csv: class number, pixels, usage."""
    lines = [f"{label},{' '.join(map(str, one.ravel()))},{usage}" for label, one, usage in rows]
    path.write_text("\n".join(["emotion,pixels,Usage", *lines]) + "\n")
    return path


def clinical_set(root: Path, people: Sequence[tuple[str, str, str, str]], words: str) -> Path:
    """Write a folder per person with a drawn picture per expression, and the table."""
    root.mkdir(parents=True, exist_ok=True)
    table = ["set_id,gender,age,country", *(",".join(person) for person in people)]
    (root / "people.csv").write_text("\n".join(table) + "\n")
    for i, (set_id, *_) in enumerate(people):
        for word, pixels in zip(words.split(), drawn(len(words.split()), 60, i + 1), strict=True):
            write(root / set_id / f"{word}.jpg", pixels)
    return root


def fer_folders(root: Path, *usages: str, n: int = 2) -> Path:
    """Write n drawn pictures of each class and usage, no two alike."""
    pixels = iter(drawn(len(usages) * 7 * n, seed=7))
    for usage in usages:
        side = "train" if usage == "Training" else "test"
        for label in LABELS:
            for i in range(n):
                write(root / side / label / f"{usage}_{i}.png", next(pixels))
    return root


def copy_into_training(root: Path, label: str = "happy") -> None:
    """Put PublicTest's first happy picture into Training."""
    content = (root / "test" / "happy" / "PublicTest_0.png").read_bytes()
    (root / "train" / label / "Training_copy.png").write_bytes(content)
