"""Choose pictures, make their maps, test them, draw them: what ``trainer explain`` does."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from edge_app.errors import DatasetError
from trainer.experiment import Split
from trainer.explanation.deletion import (
    RANDOM_MAPS,
    Curves,
    compare,
    deletion_curves,
    maps_tried,
)
from trainer.explanation.maps import COMPLETE_WITHIN, METHODS, Maps, make_maps
from trainer.explanation.pictures import draw_deletion, draw_sheet
from trainer.explanation.torch_model import Explained, load_explained

FILLS = ("mean_face", "blur")
BLUR_SHARE = 4 / 48
"""Deviation of the Gaussian that hides a part by blurring it, as a share of the picture."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be explained.

    Args:
        n: pictures on the sheet.
        per_class: that many of every true class.
        deletion_n: pictures of the deletion test; 0: no test.
        seed: draws the pictures and the random maps.
    """

    n: int = 8
    per_class: bool = False
    deletion_n: int = 100
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Shown:
    """Pictures with their maps.

    Args:
        rows: (n,) of the split.
        pictures: (n, 1, P, P) uint8.
        targets: (n,) true classes.
        predicted: (n,) classes, which the maps explain.
        confidences: (n,) probabilities of ``predicted``.
        maps: of every method.
    """

    rows: npt.NDArray[np.int64]
    pictures: Tensor
    targets: Tensor
    predicted: Tensor
    confidences: Tensor
    maps: Maps


def explain_pictures(
    folder: Path, data: Path, out: Path, wanted: Wanted, console: Console
) -> dict[str, Any]:
    """Explain some pictures of a labelled set and test the maps.

    Args:
        folder: a run or a float bundle.
        data: labelled faces, as for ``trainer evaluate``.
        out: PNG sheet; the deletion test's curves go beside it as ``<name>_deletion.png``.
        wanted: what is to be explained.
        console: where progress is shown.

    Returns:
        Plain JSON values: ``examples``, ``completeness``, ``deletion`` by what hides, files.

    Raises:
        ConfigError: no network of faces, or Captum is missing.
        DatasetError: data missing or damaged.
        TrainingError: no weights, or a network that cannot be rebuilt.
    """
    with console.status(f"loading {folder}"):
        explained = load_explained(folder)
    with console.status(f"reading {data}"):
        split = explained.experiment.load_evaluation(data)
    mean_face = split.batch(slice(None))[0].float().mean(dim=0, keepdim=True)
    chosen = choose(split, wanted)
    tested = tested_rows(len(split.targets), wanted)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console) as bar:
        maps_task = bar.add_task("maps of pictures", total=len(chosen) + len(tested))

        def shown(rows: npt.NDArray[np.int64]) -> Shown:
            return _show(explained, split, rows, mean_face, lambda k: bar.advance(maps_task, k))

        sheet = shown(chosen)
        found = _described(explained, split, sheet, data)
        draw_sheet(sheet, explained, out)
        found["sheet"] = str(out)
        if len(tested):
            subject = shown(tested)
            found["completeness"] = completeness(subject.maps)
            total = len(FILLS) * maps_tried(len(tested), len(METHODS))
            task = bar.add_task("deletion test, maps", total=total)
            curves = {
                fill: deletion_curves(
                    explained.model,
                    subject.pictures,
                    subject.predicted,
                    subject.maps.maps,
                    mean_face if fill == "mean_face" else blurred(subject.pictures),
                    explained.temperature,
                    wanted.seed,
                    lambda k: bar.advance(task, k),
                )
                for fill in FILLS
            }
            picture = out.with_name(f"{out.stem}_deletion.png")
            draw_deletion(curves, picture)
            found["deletion"] = _tested(curves, split.groups[tested])
            found["deletion_picture"] = str(picture)
    return found


def choose(split: Split, wanted: Wanted) -> npt.NDArray[np.int64]:
    """Return rows drawn at random, in all or of every class.

    Args:
        split: where they are drawn.
        wanted: how many.

    Returns:
        Rows, by class where so wanted.

    Raises:
        DatasetError: there is none.
    """
    targets = split.targets.numpy()
    if len(targets) == 0:
        raise DatasetError(
            "no pictures to explain", source=split.name, next_step="Name labelled faces"
        )
    order = np.random.default_rng(wanted.seed).permutation(len(targets))
    if not wanted.per_class:
        return np.asarray(order[: wanted.n], dtype=np.int64)
    of_class = [order[targets[order] == label][: wanted.n] for label in np.unique(targets)]
    return np.concatenate(of_class).astype(np.int64)


def tested_rows(n: int, wanted: Wanted) -> npt.NDArray[np.int64]:
    """Return the rows of the deletion test, drawn at random."""
    order = np.random.default_rng([wanted.seed, 1]).permutation(n)
    return np.asarray(order[: wanted.deletion_n], dtype=np.int64)


def completeness(maps: Maps) -> dict[str, Any]:
    """Return how well attributions add up to what they explain.

    Args:
        maps: of some pictures.

    Returns:
        Baseline method to the median and the largest share missed, the share of pictures that miss
        by no more than ``COMPLETE_WITHIN``, and the gradients that it took.
    """
    return {
        name: {
            "median_points": float(maps.points[name].double().median()),
            "most_points": int(maps.points[name].max()),
            "n": len(missed),
            "median_missed": float(missed.median()),
            "largest_missed": float(missed.max()),
            "within": COMPLETE_WITHIN,
            "share_within": float((missed <= COMPLETE_WITHIN).double().mean()),
        }
        for name, missed in maps.incompleteness().items()
    }


def blurred(pictures: Tensor) -> Tensor:
    """Return pictures (n, 1, P, P) blurred so far that no feature is left."""
    side = pictures.shape[-1]
    sigma_px = BLUR_SHARE * side
    radius = round(2.5 * sigma_px)
    along = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma_px) ** 2)
    along = along / along.sum()
    faces = torch.nn.functional.pad(pictures.float(), (radius,) * 4, mode="reflect")
    faces = torch.nn.functional.conv2d(faces, along[None, None, None, :])
    return torch.nn.functional.conv2d(faces, along[None, None, :, None])


def _show(
    explained: Explained,
    split: Split,
    rows: npt.NDArray[np.int64],
    mean_face: Tensor,
    advance: Any,
) -> Shown:
    at = torch.from_numpy(rows)
    (pictures,) = split.batch(at)
    with torch.no_grad():
        logits = torch.cat([explained.model(part.float()) for part in torch.split(pictures, 32)])
    confidences, predicted = torch.softmax(logits / explained.temperature, dim=-1).max(dim=-1)
    maps = make_maps(explained.model, pictures, predicted, mean_face, advance)
    return Shown(rows, pictures, split.targets[at], predicted, confidences, maps)


def _described(explained: Explained, split: Split, shown: Shown, data: Path) -> dict[str, Any]:
    labels = explained.experiment.parts().labels
    missed = shown.maps.incompleteness()
    return {
        "model": explained.name,
        "network": type(explained.model).__name__,
        "rebuilt_from_onnx_error": explained.rebuilt_error,
        "temperature": explained.temperature,
        "data": split.name,
        "path": str(data),
        "examples": [
            {
                "row": int(row),
                "true": labels[int(shown.targets[i])],
                "predicted": labels[int(shown.predicted[i])],
                "confidence": float(shown.confidences[i]),
                "missed": {name: float(values[i]) for name, values in missed.items()},
            }
            for i, row in enumerate(shown.rows)
        ],
    }


def _tested(curves: dict[str, Curves], groups: npt.NDArray[np.str_]) -> dict[str, Any]:
    """Return areas, intervals and tests by what hides and by method."""
    found: dict[str, Any] = {}
    for fill, one in curves.items():
        methods = {}
        for name, drawn in one.by_method.items():
            methods[name] = {
                "mean_curve": drawn.mean(axis=0).tolist(),
                "against_random": asdict(compare(drawn, one.random, one.shares, groups)),
                "against_moved": asdict(compare(drawn, one.moved[name], one.shares, groups)),
            }
        found[fill] = {
            "n": len(groups),
            "groups": len(np.unique(groups)),
            "random_maps": RANDOM_MAPS,
            "shares": one.shares.tolist(),
            "random_mean_curve": one.random.mean(axis=(0, 1)).tolist(),
            "methods": methods,
        }
    return found
