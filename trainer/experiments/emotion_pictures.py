"""The pictures that one experiment reads: each place once, and all there is to say about them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from trainer.datasets.face_reading import Hashes, hash_pictures, read_face_data
from trainer.datasets.face_set import FaceData
from trainer.experiments.emotion_options import EmotionOptions

logger = logging.getLogger(__name__)


class FacePictures:
    """The pictures of one experiment, each place read once.

    Args:
        options: classes and size.
    """

    def __init__(self, options: EmotionOptions) -> None:
        self.options = options
        self._data: dict[Path, FaceData] = {}
        self._hashes: dict[tuple[Path, Path | None], Hashes] = {}
        self._notes: dict[str, None] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say about all that was read, a sentence each."""
        return tuple(self._notes)

    @property
    def origins(self) -> list[dict[str, Any]]:
        """Layout, fingerprint and pictures by usage of every place that was read."""
        return [
            {
                "layout": data.layout,
                "fingerprint": data.fingerprint,
                "pictures": {usage: len(faces.labels) for usage, faces in data.faces.items()},
            }
            for data in self._data.values()
        ]

    def note(self, sentence: str) -> None:
        """Tell the user, once, and keep it for figures and card."""
        if sentence not in self._notes:
            self._notes[sentence] = None
            logger.warning("%s", sentence)

    def at(self, path: Path) -> FaceData:
        """Return the labelled pictures of a place."""
        key = path.resolve()
        if key not in self._data:
            data = read_face_data(path, self.options.classes, self.options.size_px)
            logger.info("%s: %s", path, data.layout)
            for sentence in data.notes:
                self.note(f"{called(path)}: {sentence}")
            self._data[key] = data
        return self._data[key]

    def hashes(self, path: Path, but: Path) -> Hashes:
        """Return the hashes of all pictures of a place, labelled or not, but for a folder in it."""
        inside = but.resolve() if but.resolve().is_relative_to(path.resolve()) else None
        key = path.resolve(), inside
        if key not in self._hashes:
            self._hashes[key] = hash_pictures(path, self.options.size_px, but=inside)
        return self._hashes[key]


def called(path: Path) -> str:
    """Return a place's own name: notes go into bundles, where nobody's folders belong."""
    return path.resolve().name
