"""Where the emotion experiment's pictures come from, and which of them may be learnt from."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edge_app.counted import counted
from edge_app.errors import DatasetError
from edge_app.inference.manifest import Illumination
from edge_app.preprocess.face_illumination import normalise_illumination
from trainer.datasets import fer2013
from trainer.datasets.clinical_faces import LAYOUT as CLINICAL
from trainer.datasets.face_copies import difference_hashes, near_copies, picture_hashes
from trainer.datasets.face_division import divide
from trainer.datasets.face_reading import locate
from trainer.datasets.face_set import OWN, OWN_TEST, OWN_TRAIN, OWN_VALIDATION, FaceData, Faces
from trainer.datasets.fer2013_facts import PRIVATE_TEST, PUBLIC_TEST, TRAINING
from trainer.experiment import Gather, Split
from trainer.experiments.emotion_options import EmotionOptions
from trainer.experiments.emotion_pictures import FacePictures, called

logger = logging.getLogger(__name__)

__all__ = ["FacePictures", "load_evaluation", "load_splits", "reading", "subset_masks"]

TO_SCORE = (PUBLIC_TEST, PRIVATE_TEST, OWN_TEST, OWN_VALIDATION, OWN, OWN_TRAIN)
"""What is scored where there are several: the first of these."""


def load_splits(pictures: FacePictures, path: Path, options: EmotionOptions) -> tuple[Split, Split]:
    """Return what to learn from, cleaned, and what to choose by.

    Args:
        pictures: reads them.
        path: the data.
        options: how to divide, and what to clean away.

    Returns:
        Training and validation.

    Raises:
        DatasetError: data missing or damaged, no such split, or a class to learn without pictures.
    """
    data = pictures.at(path)
    if options.split == "own":
        train, validation, test = _divided(pictures, data, options)
        train, _ = fer2013.clean(
            train, test, drop_copies=options.clean_copies, drop_conflicting=False, drop_blank=False
        )
    else:
        train, validation = _official(pictures, data, path)
    names = _name(train, data), _name(validation, data)
    for side in (train, validation):
        _tell_if_spoiled(pictures, side)
    train, cleaning = fer2013.clean(
        train,
        validation,
        drop_copies=options.clean_copies,
        drop_conflicting=options.drop_conflicting,
        drop_blank=options.drop_blank,
    )
    logger.info(
        "left out of %s: %d copies of pictures of %s, %d with conflicting labels, %d blank;"
        " %d remain, and %d to choose by",
        names[0],
        cleaning.copies,
        names[1],
        cleaning.conflicting,
        cleaning.blank,
        len(train.labels),
        len(validation.labels),
    )
    missing = _missing(train, options)
    if missing:
        raise DatasetError(
            f"no picture to learn {', '.join(missing)} from",
            source=str(path),
            expected="pictures of every class",
            got=dict(zip(options.classes, train.counts, strict=True)),
            next_step="Add some, or name the classes that are there with"
            " --set 'experiment.classes=[...]'",
        )
    return _split(pictures, train, names[0]), _split(pictures, validation, names[1])


def load_evaluation(
    pictures: FacePictures, path: Path, options: EmotionOptions, *, undivided: bool = False
) -> Split:
    """Return what may be scored: PublicTest, or a folder's test side, or every picture there.

    Args:
        pictures: reads them.
        path: the data.
        options: how the experiment divides.
        undivided: the user says that an own split has not learnt from these.

    Returns:
        PublicTest where there is any, also among others; of an own split the persons held out: what
        it has learnt from is not known again, so any place is divided, unless it is ``undivided``.

    Raises:
        DatasetError: data missing or damaged, or only what was learnt from.
    """
    data = pictures.at(path)
    if options.split == "own" and not undivided:
        _, validation, test = _divided(pictures, data, options)
        held_out = test if len(test.labels) else validation
        total = sum(len(faces.labels) for faces in data.faces.values())
        pictures.note(
            f"{called(path)}: divided as for training, so {len(held_out.labels):,} of {total:,}"
            " pictures are scored. If the model has not learnt from this place, score them all with"
            " --split all"
        )
        return _split(pictures, held_out, _name(held_out, data))
    usage = next((usage for usage in TO_SCORE if usage in data.faces), None)
    if usage is None:
        raise DatasetError(
            "no pictures to evaluate on",
            source=str(path),
            expected=f"PublicTest pictures, or folders named {', '.join(options.classes)}",
            got=sorted(data.faces),
            next_step="Training pictures are learnt from: evaluate on others",
        )
    others = [other for other in data.faces if other not in (usage, TRAINING)]
    if others:
        counts = ", ".join(f"{len(data.faces[other].labels):,} of {other}" for other in others)
        pictures.note(f"{called(path)}: only {usage} is scored; left alone: {counts}")
    chosen = data.faces[usage]
    _tell_if_spoiled(pictures, chosen)
    return _split(pictures, chosen, _name(chosen, data))


def subset_masks(
    pictures: FacePictures, path: Path, split: Split, duplicates_of: Path | None = None
) -> dict[str, npt.NDArray[np.bool_]]:
    """Return the pictures that are pixel-identical to none that were learnt from.

    Args:
        pictures: reads them.
        path: where ``split`` came from.
        split: what is scored.
        duplicates_of: whose pictures count as copies, in whatever folders; None: Training beside
            ``split``.

    Returns:
        ``duplicate_free`` to an (n,) mask; empty where there is nothing to compare with. Where one
        side is the csv and the other JPEG, no pixels are equal, and ``near_duplicate_free`` says
        what differs in more than 8 bits of a difference hash.

    Raises:
        DatasetError: no pictures in ``duplicates_of``.
    """
    ours = split.inputs[0].numpy()[:, 0]
    data = pictures.at(path)
    if duplicates_of is None or locate(duplicates_of) == locate(path):
        learnt = _learnt_beside(pictures, data)
        if learnt is None or set(learnt.names.tolist()) <= set(split.examples or ()):
            return {}
        return {"duplicate_free": ~np.isin(picture_hashes(ours), learnt.hashes)}
    theirs = pictures.hashes(duplicates_of, but=path)
    if theirs.unreadable:
        unreadable = counted(theirs.unreadable, "unreadable picture")
        pictures.note(f"{called(duplicates_of)}: {unreadable} not compared")
    masks = {"duplicate_free": ~np.isin(picture_hashes(ours), theirs.exact)}
    if theirs.from_csv != data.from_csv:
        pictures.note(
            f"{called(path)} and {called(duplicates_of)} are csv and image files, whose pixels"
            " differ: copies are found by difference hash only, see near_duplicate_free"
        )
        masks["near_duplicate_free"] = ~near_copies(difference_hashes(ours), theirs.difference)
    for name in [name for name, mask in masks.items() if not mask.any()]:
        pictures.note(f"{called(duplicates_of)} holds every picture that is scored: no {name}")
        del masks[name]
    return masks


def _learnt_beside(pictures: FacePictures, data: FaceData) -> Faces | None:
    """Return what is learnt from at a place that also holds what is scored."""
    if pictures.options.split == "own":
        return _divided(pictures, data, pictures.options)[0]
    return next((data.faces[one] for one in (TRAINING, OWN_TRAIN) if one in data.faces), None)


def _official(pictures: FacePictures, data: FaceData, path: Path) -> tuple[Faces, Faces]:
    faces = data.faces
    if OWN_TRAIN in faces and TRAINING not in faces:
        for usage in (OWN_VALIDATION, OWN_TEST):
            if usage in faces:
                if usage == OWN_TEST:
                    pictures.note(
                        f"{called(path)}: no validation folder: test chooses the best pass"
                    )
                return faces[OWN_TRAIN], faces[usage]
    missing = {TRAINING, PUBLIC_TEST} - set(faces)
    if missing:
        raise DatasetError(
            f"no {' and no '.join(sorted(missing))} pictures",
            source=str(path),
            expected="FER-2013 with Training and PublicTest, or folders train and validation",
            got=sorted(faces),
            next_step=f"Point --data at the folder that holds {fer2013.ARCHIVE}; or divide what is"
            " there with --set experiment.split=own",
        )
    return faces[TRAINING], faces[PUBLIC_TEST]


def _divided(
    pictures: FacePictures, data: FaceData, options: EmotionOptions
) -> tuple[Faces, Faces, Faces]:
    """Divide Training where there is one, else all own pictures together."""
    faces = data.faces
    usage = next((usage for usage in (TRAINING, OWN, OWN_TRAIN) if usage in faces), None)
    if usage is None:
        usage = next(iter(faces))
    if len(faces) > 1:
        pictures.note(f"only {usage} is divided; {', '.join(sorted(set(faces) - {usage}))} is not")
    sides = divide(
        faces[usage],
        validation_share=options.validation_share,
        test_share=options.test_share,
        seed=options.split_seed,
    )
    if not len(sides[0].labels) or not len(sides[1].labels):
        raise DatasetError(
            "too few persons or pictures to divide",
            source=usage,
            expected="at least one to learn from and one to choose by",
            got=f"{len(np.unique(faces[usage].groups))} in all",
            next_step="Add data, or lower experiment.test_share",
        )
    train, validation, test = (
        replace(side, usage=usage)
        for side, usage in zip(sides, (OWN_TRAIN, OWN_VALIDATION, OWN_TEST), strict=True)
    )
    return train, validation, test


def _name(faces: Faces, data: FaceData) -> str:
    if fer2013.is_published(faces):
        return f"FER-2013 {faces.usage}"
    if faces.usage in fer2013.USAGES:
        return f"{OWN} named {faces.usage}"
    if data.layout != CLINICAL:
        return faces.usage
    return "clinical faces" if faces.usage == OWN else f"clinical faces, {faces.usage}"


def _missing(faces: Faces, options: EmotionOptions) -> list[str]:
    return [label for label, n in zip(options.classes, faces.counts, strict=True) if not n]


def _tell_if_spoiled(pictures: FacePictures, faces: Faces) -> None:
    if faces.usage in fer2013.USAGES and not fer2013.is_published(faces):
        pictures.note(
            f"{OWN} named {faces.usage}: counts or pictures differ from FER-2013's, so figures do"
            " not compare with published ones"
        )


def reading(how: Illumination) -> Gather | None:
    """Return how a batch of pictures becomes what the model reads, as the bedside would do it.

    A split keeps the pictures as they are, so that spoiling them comes before evening them out.

    Args:
        how: the recipe's ``illumination``.

    Returns:
        For ``Split.gather``: None where pictures are read as they are.
    """
    return None if how == "none" else partial(_normalised, how)


def _normalised(how: Illumination, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    faces = inputs[0].cpu().numpy()
    done = np.empty_like(faces)
    for face, out in zip(faces[:, 0], done[:, 0], strict=True):
        out[:] = normalise_illumination(face, how)
    return (torch.from_numpy(done).to(inputs[0].device),)


def _split(pictures: FacePictures, faces: Faces, name: str) -> Split:
    missing = _missing(faces, pictures.options)
    if missing:
        pictures.note(f"{name}: no picture of {', '.join(missing)}")
    return Split(
        inputs=(torch.from_numpy(faces.pixels[:, None]),),
        targets=torch.from_numpy(faces.labels),
        groups=faces.groups,
        name=name,
        examples=tuple(str(one) for one in faces.names),
        gather=reading(pictures.options.illumination),
        attributes=faces.attributes,
    )
