"""Which face detector is used: the configured file, else the installed one, else OpenCV's own.

An installed file is named after its SHA-256, ``<data home>/bedside/face_detectors/<sha256>.onnx``,
and is held against that name whenever it is opened.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from edge_app.errors import ConfigError
from edge_app.inference.bundle import sha256_of
from edge_app.preprocess.face import FaceDetector
from edge_app.preprocess.face_detectors import HaarDetector, YuNetDetector

PINNED = {
    "81dbde155e982455488235acb8ec2dec5d647edf7cf7080d33e4abb69b93a0d2": "yunet_n_320_320.onnx",
    "104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12": "yunet_n_dynamic.onnx",
}
"""YuNet as in ``onnx/`` of github.com/ShiqiYu/libfacedetection.train, Apache-2.0."""
_INSTALLED = re.compile(r"[0-9a-f]{64}\.onnx")


@dataclass(frozen=True, slots=True)
class DetectorChoice:
    """The detector to be used.

    Args:
        file: a YuNet file; None: the Haar cascade that comes with OpenCV 4.
        detail: what it is, for a person.
        sha256: what the file has to be; None: whatever it is.
    """

    file: Path | None
    detail: str
    sha256: str | None = None

    def open(self) -> FaceDetector:
        """Return the detector.

        Raises:
            ConfigError: the file is missing, altered, or not to be loaded; or this OpenCV has no
                Haar cascade.
        """
        if self.file is None:
            return HaarDetector()
        if self.sha256 is not None and sha256_of(self.file) != self.sha256:
            raise ConfigError(
                "the installed face detector has been altered",
                source=str(self.file),
                expected=f"SHA-256 {self.sha256}",
                got=sha256_of(self.file),
                next_step="Remove it, or install it again with `edge-app install-detector FILE`",
            )
        return YuNetDetector(self.file)


def detectors_dir() -> Path:
    """Return the user's folder for detectors, which need not exist: XDG base directories."""
    home = Path(os.environ.get("XDG_DATA_HOME", ""))
    base = home if home.is_absolute() else Path.home() / ".local" / "share"
    return base / "bedside" / "face_detectors"


def choose_detector(configured: Path | None) -> DetectorChoice:
    """Return the detector for a stream; nothing is opened.

    Args:
        configured: a YuNet file, or None where the configuration names none.
    """
    if configured is not None:
        return DetectorChoice(configured, f"YuNet, {configured.name}")
    folder = detectors_dir()
    files = [p for p in folder.glob("*.onnx") if _INSTALLED.fullmatch(p.name)]
    if not files:
        return DetectorChoice(None, "Haar cascade of OpenCV, frontal faces only")
    newest = max(files, key=lambda file: (file.stat().st_mtime, file.name))
    name = PINNED.get(newest.stem, f"a file of your own, {newest.stem[:12]}")
    return DetectorChoice(newest, f"YuNet, {name}, installed in {folder}", newest.stem)
