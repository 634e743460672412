"""The face chain on real clips: what is found, how soon, and frames a second on one core.

    python benchmarks/face_chain.py --data ../shared/data
    python benchmarks/face_chain.py --data ../shared/data --gate

``--data`` is the folder with ``faces`` and ``models``. Runs on one core with one thread and prints
CPU time too, for a machine that does other things meanwhile. ``--gate`` reads FER-2013 and prints
what share of its PublicTest pictures the quality gate passes, as they are and spoilt, and how often
the bundle is right on 500 of them. The gate's limits were chosen by this table with an earlier
bundle, so that 98 of 100 clean pictures pass and those on which that one failed do not: look at it
again whenever another bundle is shipped.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge_app.build import find_bundle, open_bundle
from edge_app.contracts import UNIT_RGB8, VIDEO_CHANNELS, StreamInfo, Window
from edge_app.inference.bundle import Bundle
from edge_app.inference.manifest import FaceConditioning
from edge_app.preprocess.face import FaceBox, FaceDetector
from edge_app.preprocess.face_detectors import HaarDetector, YuNetDetector
from edge_app.preprocess.face_finder import FaceFinder, FaceReading, FaceSettings
from edge_app.preprocess.face_illumination import normalise_illumination
from edge_app.preprocess.face_quality import measure, why_not
from edge_app.tasks.registry import build_task
from trainer.datasets import fer2013

Picture = npt.NDArray[np.uint8]
RATE_HZ = 30.0
LAST_FACE, LOOP_FRAMES = 72, 169
"""face_noface.mov: a face in its first 72 frames of 169; it is played twice."""
SPOIL: dict[str, Callable[[Picture], Picture]] = {
    "as it is": lambda p: p,
    "blurred by 1 px": lambda p: np.asarray(cv2.GaussianBlur(p, (0, 0), 1.0), np.uint8),
    "blurred by 2 px": lambda p: np.asarray(cv2.GaussianBlur(p, (0, 0), 2.0), np.uint8),
    "light x 0.4": lambda p: (p * 0.4).astype(np.uint8),
    "light x 0.1": lambda p: (p * 0.1).astype(np.uint8),
    "light + 60": lambda p: np.clip(p + 60.0, 0, 255).astype(np.uint8),
    "light + 180": lambda p: np.clip(p + 180.0, 0, 255).astype(np.uint8),
    "light x 4": lambda p: np.clip(p * 4.0, 0, 255).astype(np.uint8),
}


def read_frames(path: Path) -> list[Picture]:
    """Decode a clip to RGB."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(np.asarray(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB), np.uint8))
    return frames


def play(
    detector: FaceDetector, limits: FaceConditioning, frames: list[Picture]
) -> list[FaceReading]:
    """Return what every frame shows."""
    finder = FaceFinder(detector, limits)
    return [finder.update(index / RATE_HZ, frame) for index, frame in enumerate(frames)]


def tell_clips(name: str, detector: FaceDetector, limits: FaceConditioning, faces: Path) -> None:
    """Print what is found on the four files."""
    single = play(detector, limits, read_frames(faces / "single_face.mp4"))
    found = sum(reading.crop is not None for reading in single)
    print(f"{name}: single_face.mp4: a face in {found} of {len(single)} frames")
    twice = play(detector, limits, read_frames(faces / "face_noface.mov") * 2)
    seen = [index for index, reading in enumerate(twice) if reading.crop is not None]
    last = max(index for index in seen if index < LOOP_FRAMES)
    back = min(index for index in seen if index >= LOOP_FRAMES)
    print(
        f"{name}: face_noface.mov: last face {(last + 1 - LAST_FACE) / RATE_HZ:.2f} s after it has "
        f"left, first face {(back - LOOP_FRAMES) / RATE_HZ:.2f} s after it is back (played twice)"
    )
    nobody = play(detector, limits, read_frames(faces / "no_face.mp4"))
    found = sum(reading.crop is not None for reading in nobody)
    print(f"{name}: no_face.mp4: a face in {found} of {len(nobody)} frames")
    group = read_frames(faces / "multi_face.jpg")[0]
    finder = FaceFinder(detector, limits, FaceSettings(stills=True))
    reading = finder.update(0.0, group)
    picked = "one picked" if reading.crop is not None else "none picked"
    print(f"{name}: multi_face.jpg: {picked}, {reading.faces - 1} of 4 others counted")


def tell_speed(name: str, detector: FaceDetector, bundle: Bundle, faces: Path) -> None:
    """Print frames a second of the whole task on a 640 x 360 clip, decoding apart."""
    started_s, cpu_s = time.perf_counter(), time.process_time()
    frames = read_frames(faces / "single_face.mp4")
    decode_ms = 1e3 * (time.process_time() - cpu_s) / len(frames)
    wall_ms = 1e3 * (time.perf_counter() - started_s) / len(frames)
    print(f"{name}: decoding and colours: {decode_ms:.2f} ms of CPU a frame, {wall_ms:.2f} ms wall")
    info = StreamInfo("face", "video", RATE_HZ, VIDEO_CHANNELS, (UNIT_RGB8,), "clip", False)
    task = build_task(bundle, info, lambda: detector)
    frames = (frames + frames[::-1]) * 5  # forwards and backwards: no jump
    started_s, cpu_s = time.perf_counter(), time.process_time()
    labels = 0
    for index, frame in enumerate(frames):
        window = Window(index, index / RATE_HZ, (index + 1) / RATE_HZ, RATE_HZ, frame[None])
        labels += sum(said.label is not None for said in task.push(window))
    cpu_ms = 1e3 * (time.process_time() - cpu_s) / len(frames)
    wall_ms = 1e3 * (time.perf_counter() - started_s) / len(frames)
    height, width = frames[0].shape[:2]
    print(
        f"{name}: {width}x{height}, {len(frames)} frames, model included: {cpu_ms:.2f} ms of CPU a "
        f"frame = {1e3 / cpu_ms:.0f} frames/s on one core; {1e3 / wall_ms:.0f} frames/s wall; "
        f"{labels} with a label"
    )


def tell_gate(limits: FaceConditioning, bundle: Bundle, data: Path) -> None:
    """Print what the gate passes of PublicTest, and how the model does on what it is given."""
    faces = fer2013.read_faces(data)["PublicTest"]
    box = FaceBox(0.0, 0.0, 1e3, 1e3)
    run = bundle.runners["model"].run
    names = [bundle.manifest.labels.index(label) for label in fer2013.LABELS]
    some = np.random.default_rng(0).permutation(len(faces.labels))[:500]
    print("FER-2013 PublicTest as bare crops: share passed; accuracy of all on 500 of them")
    for how, spoil in SPOIL.items():
        crops = [spoil(pixels) for pixels in faces.pixels]
        reasons = [why_not(measure(crop, box), limits) for crop in crops]
        passed = np.mean([reason is None for reason in reasons])
        read = [normalise_illumination(crops[i], limits.illumination) for i in some]
        answers = [int(run({"face": face[None, None]})["logits"].argmax()) for face in read]
        right = np.mean([answers[k] == names[faces.labels[i]] for k, i in enumerate(some)])
        told = {r.value: reasons.count(r) for r in sorted({r for r in reasons if r is not None})}
        print(f"  {how:16} passed {passed:.3f}  accuracy {right:.3f}  stopped {told}", flush=True)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--bundle", type=Path, default=None)
    parser.add_argument("--gate", action="store_true", help="Only the quality gate, on FER-2013.")
    given = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    bundle = open_bundle(given.bundle or find_bundle("emotion"))
    limits = bundle.manifest.conditioning
    if not isinstance(limits, FaceConditioning):
        parser.error("not a bundle of facial expression")
    if given.gate:
        tell_gate(limits, bundle, given.data)
        return
    yunet = YuNetDetector(given.data / "models" / "yunet_n_320_320.onnx")
    for name, detector in (("YuNet", yunet), ("Haar", HaarDetector())):
        tell_clips(name, detector, limits, given.data / "faces")
        tell_speed(name, detector, bundle, given.data / "faces")


if __name__ == "__main__":
    main()
