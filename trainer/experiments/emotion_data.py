"""Where the emotion experiment's pictures come from, and which of them may be learnt from."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from edge_app.errors import DatasetError
from trainer.datasets import fer2013
from trainer.experiment import Split
from trainer.experiments.emotion_options import EmotionOptions

logger = logging.getLogger(__name__)


class FacePictures:
    """The pictures of one experiment, each folder read once."""

    def __init__(self) -> None:
        self._read: dict[Path, dict[str, fer2013.Faces]] = {}

    def at(self, path: Path) -> dict[str, fer2013.Faces]:
        """Return the pictures of a folder or archive by their usage."""
        if path not in self._read:
            self._read[path] = fer2013.read_faces(path)
        return self._read[path]


def load_splits(pictures: FacePictures, path: Path, options: EmotionOptions) -> tuple[Split, Split]:
    """Return cleaned Training, and PublicTest.

    Args:
        pictures: reads them.
        path: the data.
        options: what to clean away.

    Returns:
        Training and validation.

    Raises:
        DatasetError: data missing or damaged.
    """
    faces = pictures.at(path)
    missing = {"Training", "PublicTest"} - set(faces)
    if missing:
        raise DatasetError(
            f"no {' and no '.join(sorted(missing))} pictures",
            source=str(path),
            expected="FER-2013 with Training and PublicTest",
            got=sorted(faces),
            next_step=f"Point --data at the folder that holds {fer2013.ARCHIVE}",
        )
    train, validation = faces["Training"], faces["PublicTest"]
    fer2013.check_counts(train)
    fer2013.check_counts(validation)
    train, cleaning = fer2013.clean(
        train,
        validation,
        drop_conflicting=options.drop_conflicting,
        drop_blank=options.drop_blank,
    )
    logger.info(
        "FER-2013: left out of Training %d copies of PublicTest pictures, %d with conflicting "
        "labels, %d blank; %d remain. PublicTest %d.",
        cleaning.copies,
        cleaning.conflicting,
        cleaning.blank,
        len(train.labels),
        len(validation.labels),
    )
    return _split(train), _split(validation)


def load_evaluation(pictures: FacePictures, path: Path) -> Split:
    """Return PublicTest, or every picture of a folder that is not FER-2013's.

    Args:
        pictures: reads them.
        path: the data.

    Returns:
        What may be scored.

    Raises:
        DatasetError: data missing or damaged, or only what was learnt from.
    """
    faces = pictures.at(path)
    for usage in ("PublicTest", fer2013.OWN):
        if usage in faces:
            if usage != fer2013.OWN:
                fer2013.check_counts(faces[usage])
            return _split(faces[usage])
    raise DatasetError(
        "no pictures to evaluate on",
        source=str(path),
        expected=f"PublicTest pictures, or folders named {', '.join(fer2013.LABELS)}",
        got=sorted(faces),
        next_step="Training pictures are learnt from: evaluate on others",
    )


def subset_masks(
    pictures: FacePictures, path: Path, split: Split, duplicates_of: Path | None = None
) -> dict[str, npt.NDArray[np.bool_]]:
    """Return the pictures that are pixel-identical to no Training picture.

    Args:
        pictures: reads them.
        path: where ``split`` came from.
        split: what is scored.
        duplicates_of: whose pictures count as copies; None: Training beside ``split``.

    Returns:
        ``duplicate_free`` to an (n,) mask; empty where there is nothing to compare with.
    """
    del duplicates_of
    faces = pictures.at(path)
    if "Training" not in faces:
        return {}
    return {"duplicate_free": ~np.isin(split.groups, faces["Training"].groups)}


def _split(faces: fer2013.Faces) -> Split:
    name = faces.usage if faces.usage == fer2013.OWN else f"FER-2013 {faces.usage}"
    return Split(
        inputs=(torch.from_numpy(faces.pixels[:, None]),),
        targets=torch.from_numpy(faces.labels),
        groups=faces.groups,
        name=name,
    )
