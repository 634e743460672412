"""Whether entropy or the foreground's share of a crop would make the quality gate better.

    python -m benchmarks.face_gate --data ../shared/data --pictures 1000

FER-2013's PublicTest as bare crops, clean and spoilt (``trainer/emotion_evaluation/corruptions.py``
and the crops below, which are simulated), against today's gate of the bundle's manifest. Figures
tried beside it: entropy of the grey levels in bits a pixel, and how far Otsu's foreground is from
being half of the crop.

1. Crops with little or no face in them: how many pass today, how often the model is right on those,
   and how many of them a limit on a figure would stop. The limit is the strictest one that turns
   away no more than 0.5 % of the crops that pass today, be they clean, darker or lit from behind:
   the gate has to go on working in poor light. Whether such a crop ever reaches the gate is the
   detector's part: the column `found` is for 100 of them, enlarged and framed as for
   `trainer evaluate --through-detector`, the frames made up.
2. All crops, clean and spoilt, that pass today: the model's share of wrong answers among what is
   left when the worst 5, 10 or 20 % by a figure are turned away; beside them a random choice, the
   figures that the gate has, and the model's own confidence, which is there anyway. Intervals:
   95 %, bootstrap over pictures.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge_app.face_detector_file import choose_detector
from edge_app.inference.bundle import Bundle, load_bundle
from edge_app.inference.manifest import FaceConditioning
from edge_app.preprocess.face import FaceBox
from edge_app.preprocess.face_finder import FaceFinder, FaceSettings
from edge_app.preprocess.face_illumination import normalise_illumination
from edge_app.preprocess.face_quality import measure, why_not
from edge_app.preprocess.segmentation.histogram import entropy_bits
from edge_app.preprocess.segmentation.thresholds import foreground, otsu_threshold
from edge_app.tasks.protocol import conditioning_of
from trainer.emotion_evaluation.corruptions import CORRUPTIONS
from trainer.emotion_evaluation.framing import frame_face
from trainer.evaluate import bundle_recipe
from trainer.intervals import bootstrap_over_groups

Pixels = npt.NDArray[np.uint8]
Figures = dict[str, npt.NDArray[np.float64]]
"""Name to (n,) values; the lower, the worse."""
LARGE = FaceBox(0.0, 0.0, 1e3, 1e3)
LOST = 0.005
FRAMED = 100
TURNED_AWAY = (0.05, 0.1, 0.2)
TRIED = ("entropy", "foreground near half")
SPARED = ("clean", "darker", "back-lit")


def _covered(share: float) -> Callable[[Pixels], Pixels]:
    def cover(faces: Pixels) -> Pixels:
        done = faces.copy()
        done[:, round((1.0 - share) * faces.shape[1]) :] = 140  # a sheet, evenly lit
        return done

    return cover


def _levels(n: int) -> Callable[[Pixels], Pixels]:
    levels = np.asarray(np.arange(256) * n // 256 * 255 // (n - 1), np.uint8)
    return lambda faces: levels[faces]


def _random(faces: Pixels, spread: float) -> Pixels:
    noise = np.random.default_rng(0).normal(120.0, spread, faces.shape)
    return np.asarray(np.clip(noise, 0, 255), np.uint8)


def _thumbnails(faces: Pixels) -> Pixels:
    rows = [np.concatenate([faces[:, i::4, j::4] for j in range(4)], axis=2) for i in range(4)]
    return np.concatenate(rows, axis=1)


LITTLE_FACE: dict[str, Callable[[Pixels], Pixels]] = {
    "one grey, noise of 4": lambda faces: _random(faces, 4.0),
    "noise of 60 alone": lambda faces: _random(faces, 60.0),
    "lower 60 % covered": _covered(0.6),
    "lower 80 % covered": _covered(0.8),
    "lower 90 % covered": _covered(0.9),
    "2 grey levels": _levels(2),
    "4 grey levels": _levels(4),
    "8 grey levels": _levels(8),
    "a row repeated": lambda faces: np.repeat(faces[:, 20:21], faces.shape[1], axis=1),
    "16 thumbnails": _thumbnails,
}
SPOILT: dict[str, Callable[[Pixels], Pixels]] = {"clean": lambda same: same, **CORRUPTIONS}


def figures_of(crops: Pixels) -> Figures:
    """Return what is measured of each crop."""
    found = [measure(crop, LARGE) for crop in crops]
    share = np.array([foreground(crop, otsu_threshold(crop)).mean() for crop in crops])
    return {
        "entropy": np.array([entropy_bits(crop) for crop in crops]),
        "foreground near half": -np.abs(share - 0.5),
        "sharpness": np.array([one.sharpness for one in found]),
        "spread of levels": np.array([one.bright_end - one.dark_end for one in found]),
    }


def passes(crops: Pixels, limits: FaceConditioning) -> npt.NDArray[np.bool_]:
    """Return which crops today's gate lets through."""
    return np.array([why_not(measure(crop, LARGE), limits) is None for crop in crops])


def limits_of(bundle: Bundle) -> FaceConditioning:
    """Return what the model takes."""
    return conditioning_of(bundle.manifest, FaceConditioning)


def answers(bundle: Bundle, crops: Pixels) -> npt.NDArray[np.float32]:
    """Return (n, n_labels) probabilities of the bundle."""
    run, way = bundle.runners["model"].run, limits_of(bundle).illumination
    faces = (normalise_illumination(crop, way)[None, None] for crop in crops)
    return np.concatenate([run({"face": face})["probabilities"] for face in faces])


def strictest(faces: Pixels, limits: FaceConditioning) -> dict[str, float]:
    """Return the limit on each figure that spares nearly all that passes today."""
    lowest = dict.fromkeys(TRIED, np.inf)
    for how in SPARED:
        crops = SPOILT[how](faces)
        found = figures_of(crops[passes(crops, limits)])
        lowest = {name: min(lowest[name], np.quantile(found[name], LOST)) for name in TRIED}
    return lowest


def found_share(faces: Pixels, finder: FaceFinder) -> float:
    """Return how many of some framed pictures the face chain gives out."""
    chosen = faces[:: max(1, len(faces) // FRAMED)][:FRAMED]
    frames = (frame_face(face, (1, k)).frame for k, face in enumerate(chosen))
    return float(np.mean([finder.update(0.0, frame).crop is not None for frame in frames]))


def tell_bad_crops(
    faces: Pixels, targets: npt.NDArray[np.int64], bundle: Bundle, finder: FaceFinder
) -> None:
    """Print what passes of crops with little face, how the model does, what a limit would stop."""
    limits = limits_of(bundle)
    lowest = strictest(faces, limits)
    limit = ", ".join(f"{name} {value:.2f}" for name, value in lowest.items())
    print(f"\n1. limits that turn away {LOST:.1%} of {', '.join(SPARED)} at most: {limit}\n")
    tried = " | ".join(f"stopped by {name}" for name in TRIED)
    print(f"| crops | found | pass today | model right | {tried} |")
    print("|---" * (4 + len(TRIED)) + "|")
    for what, spoil in (LITTLE_FACE | SPOILT).items():
        crops = spoil(faces)
        seen, through = f"{found_share(crops, finder):.0%}", passes(crops, limits)
        if not through.any():
            print(f"| {what} | {seen} | 0 |" + " - |" * (1 + len(TRIED)), flush=True)
            continue
        right = (answers(bundle, crops[through]).argmax(axis=1) == targets[through]).mean()
        found = figures_of(crops[through])
        stopped = " | ".join(f"{(found[name] < lowest[name]).mean():.1%}" for name in TRIED)
        print(f"| {what} | {seen} | {through.mean():.1%} | {right:.3f} | {stopped} |", flush=True)


def tell_risk(
    faces: Pixels,
    targets: npt.NDArray[np.int64],
    groups: npt.NDArray[np.str_],
    bundle: Bundle,
) -> None:
    """Print the share of wrong answers when the worst by each figure are turned away."""
    print("\n2. what passes today of clean and spoilt crops")
    limits, wrong, whose, found = limits_of(bundle), [], [], []
    for how, spoil in SPOILT.items():
        print(f"  the model answers: {how}", flush=True)
        crops = spoil(faces)
        through = passes(crops, limits)
        if not through.any():
            continue
        said = answers(bundle, crops[through])
        wrong.append(said.argmax(axis=1) != targets[through])
        whose.append(groups[through])
        found.append({**figures_of(crops[through]), "confidence": said.max(axis=1)})
    error, people = np.concatenate(wrong).astype(np.float64), np.concatenate(whose)
    figures = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
    figures["random"] = np.random.default_rng(0).random(len(error))

    def risk(rows: npt.NDArray[np.int64]) -> dict[str, float]:
        said = {}
        for name, values in figures.items():
            worst_last = rows[np.argsort(-values[rows], kind="stable")]
            for share in TURNED_AWAY:
                kept = worst_last[: round((1.0 - share) * len(rows))]
                said[f"{name}/{share}"] = float(error[kept].mean())
        return said

    drawn = bootstrap_over_groups(risk, people, resamples=300)
    print(f"\nwrong of all {len(error)}: {error.mean():.4f}\n")
    print("| turned away by | " + " | ".join(f"worst {s:.0%}" for s in TURNED_AWAY) + " |")
    print("|---" * (1 + len(TURNED_AWAY)) + "|")
    for name in figures:
        cells = " | ".join(str(drawn[f"{name}/{share}"]) for share in TURNED_AWAY)
        print(f"| {name} | {cells} |")


def main() -> None:
    """Print both tables."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds FER-2013")
    parser.add_argument("--bundle", type=Path, default=Path("exports/emotion"))
    parser.add_argument("--pictures", type=int, default=1000, help="drawn evenly")
    parser.add_argument("--detector", type=Path, help="YuNet's file; else as the bedside finds it")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    bundle = load_bundle(given.bundle)
    choice = choose_detector(given.detector)
    finder = FaceFinder(choice.open(), limits_of(bundle), FaceSettings(stills=True))
    split = bundle_recipe(bundle).experiment.load_evaluation(given.data)
    step = max(1, len(split.targets) // given.pictures)
    faces, targets = split.inputs[0].numpy()[::step, 0], split.targets.numpy()[::step]
    print(f"{bundle.model_id} on {split.name}, {len(faces)} pictures; {choice.detail}")
    tell_bad_crops(faces, targets, bundle, finder)
    tell_risk(faces, targets, split.groups[::step], bundle)


if __name__ == "__main__":
    main()
