"""A bundle's accuracy through the bedside's detector and crop, by detector, margin, eyes levelled.

    python -m benchmarks.through_detector exports/emotion --data ../shared/data --yunet FILE.onnx

Labelled pictures are enlarged and framed (the surroundings are made up), found by Haar and, where
its file is given, by YuNet, cropped as the bedside crops, and scored beside the bare pictures.
Margins are compared on the pictures that have a box. Choosing one by this table is tuning on these
pictures: PublicTest is for that, a final test is not.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.inference.bundle import Bundle, load_bundle
from edge_app.inference.manifest import FaceConditioning
from edge_app.preprocess.face import FaceDetector, Picture
from edge_app.preprocess.face_detectors import HaarDetector, YuNetDetector
from edge_app.preprocess.face_illumination import normalise_illumination
from trainer.emotion_evaluation.through_detector import MARGINS, through_detector
from trainer.evaluate import bundle_recipe


def predictor(
    bundle: Bundle, conditioning: FaceConditioning
) -> Callable[[Picture], npt.NDArray[np.float32]]:
    """Return the bundle as a function of many crops, their light evened out as at the bedside."""
    run = bundle.runners["model"].run

    def predict(crops: Picture) -> npt.NDArray[np.float32]:
        read = [normalise_illumination(crop, conditioning.illumination) for crop in crops]
        rows = [run({"face": face[None, None]})["probabilities"] for face in read]
        return np.concatenate(rows).astype(np.float32)

    return predict


def show(figures: dict[str, Any]) -> None:
    """Print one detector's figures."""
    accuracy, loss, geometry = figures["accuracy"], figures["loss"], figures["geometry"]
    print(f"\n{figures['detector']}, {figures['n']} pictures: found {figures['found']:.1%}")
    print("  " + ", ".join(f"{name} {n}" for name, n in figures["reasons"].items()))
    print("  accuracy: " + ", ".join(f"{name} {share:.4f}" for name, share in accuracy.items()))
    print("  lost, points: " + ", ".join(f"{name} {100 * p:+.2f}" for name, p in loss.items()))
    if not geometry:
        return
    for name in ("side", "right", "down"):
        found = geometry[name]
        print(f"  box, {name}: {found['mean']:+.3f} of the true side, sd {found['sd']:.3f}")
    print(
        f"  margin that makes the mean box the true square: {geometry['margin_of_mean_side']:.3f}"
    )
    best = max(figures["margins"], key=figures["margins"].__getitem__)
    for name, share in figures["margins"].items():
        print(f"  margin {name:<17} {share:.4f}{'  <- best' if name == best else ''}")


def main() -> None:
    """Score every detector that is there and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--yunet", type=Path)
    parser.add_argument("--pictures", type=int, help="only so many, drawn evenly")
    parser.add_argument("--json", type=Path)
    words = parser.parse_args()
    bundle = load_bundle(words.bundle)
    conditioning = bundle.manifest.conditioning
    if not isinstance(conditioning, FaceConditioning):
        parser.error(f"{words.bundle} does not read faces")
    split = bundle_recipe(bundle).experiment.load_evaluation(words.data)
    step = 1 if words.pictures is None else max(1, len(split.targets) // words.pictures)
    faces, targets = split.inputs[0].numpy()[::step, 0], split.targets.numpy()[::step]
    detectors: dict[str, FaceDetector] = {"Haar": HaarDetector()}
    if words.yunet is not None:
        detectors["YuNet"] = YuNetDetector(words.yunet)
    print(f"{bundle.model_id} on {split.name}, margin {conditioning.margin} in its manifest")
    every = []
    for name, detector in detectors.items():
        levelled = (False, True) if name == "YuNet" else (False,)  # Haar tells no eyes
        figures = through_detector(
            faces,
            targets,
            detector,
            conditioning,
            predictor(bundle, conditioning),
            name=name,
            ways=[(margin, level) for level in levelled for margin in MARGINS],
        )
        show(figures)
        every.append(figures)
    if words.json is not None:
        words.json.write_text(json.dumps(every, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
