"""Choose the reader of a file, by what it holds and by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edge_app.contracts import Kind
from edge_app.errors import SourceNotFoundError
from edge_app.sources.recording.csv_imu import CsvImuRecording
from edge_app.sources.recording.edf import EdfRecording
from edge_app.sources.recording.edf_header import BDF_MAGIC, EDF_MAGIC
from edge_app.sources.recording.images import IMAGE_SUFFIXES, ImageRecording, find_images
from edge_app.sources.recording.protocol import Recording, refuse
from edge_app.sources.recording.session import SessionRecording
from edge_app.sources.recording.session_format import MAGIC
from edge_app.sources.recording.video import VideoRecording
from edge_app.sources.recording.xdf import XdfRecording
from edge_app.sources.recording.xdf_layout import XDF_MAGIC

Format = Literal["EDF", "XDF", "text", "video", "picture", "session"]

_SUFFIXES: dict[str, Format] = {
    ".edf": "EDF",
    ".bdf": "EDF",
    ".rec": "EDF",
    ".xdf": "XDF",
    ".xdfz": "XDF",
    ".csv": "text",
    ".tsv": "text",
    ".txt": "text",
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"), "video"),
    **dict.fromkeys(IMAGE_SUFFIXES, "picture"),
}
_KINDS: dict[Format, tuple[Kind, ...]] = {
    "EDF": ("eeg",),
    "XDF": ("eeg", "imu"),
    "text": ("imu",),
    "video": ("video",),
    "picture": ("video",),
    "session": ("eeg", "imu", "video"),
}
_FITTING: dict[Kind, str] = {
    "eeg": "an EDF, EDF+, BDF or XDF file",
    "imu": "a text file with columns (CSV) or an XDF file",
    "video": "a video file or a folder of pictures",
}
_MAX_LISTED = 10


def open_recording(
    path: Path,
    *,
    kind: Kind,
    channel: str | None = None,
    unit: str | None = None,
    gyr_unit: str | None = None,
    rate_hz: float | None = None,
    name: str | None = None,
    opening: int = 0,
) -> Recording:
    """Open a recording.

    Args:
        path: file, or folder of pictures.
        kind: the kind of stream wanted of it.
        channel: EEG channel by name (in XDF also STREAM/CHANNEL); XDF with several IMUs: STREAM.
        unit: unit of the EEG or of acceleration, where the file does not say.
        gyr_unit: unit of the angular rate, where the file does not say.
        rate_hz: rate, where the file does not say.
        name: the stream's name; None: the file's.
        opening: of a recorded live stream that was opened several times: which one, from 0.

    Raises:
        SourceNotFoundError: no such file.
        SourceError: empty, damaged, of another kind, or not clear without an option.
    """
    try:
        if path.is_dir():
            return _open_folder(path, kind, rate_hz, name)
        form = _format(path, kind)
        if kind not in _KINDS[form]:
            refuse(
                path,
                f"a file of this format ({form}) holds no {kind} stream",
                f"Name {_FITTING[kind]}, or choose the task of this file",
                expected=_FITTING[kind],
            )
        if form == "session":
            return _of_kind(SessionRecording(path, opening=opening, name=name), path, kind)
        if form == "EDF":
            return EdfRecording(path, channel=channel, unit=unit, name=name)
        if form == "XDF" and kind != "video":
            return XdfRecording(
                path,
                kind=kind,
                channel=channel,
                unit=unit,
                gyr_unit=gyr_unit,
                rate_hz=rate_hz,
                name=name,
            )
        if form == "text":
            return CsvImuRecording(path, unit=unit, gyr_unit=gyr_unit, rate_hz=rate_hz, name=name)
        if form == "video":
            return VideoRecording(path, rate_hz=rate_hz, name=name)
        return ImageRecording(path, rate_hz=rate_hz, name=name)
    except OSError as error:
        return refuse(
            path,
            f"cannot be read: {error.strerror or error}",
            "Check its permissions and the disk it is on",
            cause=error,
        )


def _format(path: Path, kind: Kind) -> Format:
    """Return the format of a file: its first bytes count for more than its name."""
    if not path.exists():
        raise SourceNotFoundError(
            "no such file",
            source=str(path),
            next_step=f"Name {_FITTING[kind]}",
        )
    if not path.is_file():
        refuse(path, "is neither a file nor a folder", f"Name {_FITTING[kind]}")
    with path.open("rb") as file:
        head = file.read(4096)
    if not head:
        refuse(path, "the file is empty", "Copy or record it again")
    if head.startswith((EDF_MAGIC, BDF_MAGIC)):
        return "EDF"
    if head.startswith(MAGIC):
        return "session"
    suffix = path.suffix.lower()
    by_name = _SUFFIXES.get(suffix)
    if head.startswith(XDF_MAGIC) or path.name.lower().endswith((".xdfz", ".xdf.gz")):
        return "XDF"
    if by_name in ("EDF", "XDF"):
        refuse(
            path,
            f"is named like {by_name} but does not begin like it",
            "Copy the file again, or correct its name",
            got=repr(head[:8].decode("latin-1")),
        )
    if by_name == "text" and b"\0" in head:
        refuse(path, "is named like a text file but is not text", "Name a CSV or text file")
    if by_name is not None:
        return by_name
    if b"\0" not in head:
        return "text"
    if kind == "video":
        return "video"
    return refuse(path, "the format of this file is not known", f"Name {_FITTING[kind]}")


def _of_kind(recording: SessionRecording, path: Path, kind: Kind) -> SessionRecording:
    if recording.info.kind != kind:
        recording.close()
        refuse(
            path,
            f"this recorded stream is {recording.info.kind}, not {kind}",
            "Choose the task of this stream, or the stream of this task",
        )
    return recording


def _open_folder(path: Path, kind: Kind, rate_hz: float | None, name: str | None) -> Recording:
    if kind == "video" and find_images(path):
        return ImageRecording(path, rate_hz=rate_hz, name=name)
    there = sorted(
        p.name
        for p in path.iterdir()
        if p.is_file()
        and kind in _KINDS.get(_SUFFIXES.get(p.suffix.lower(), "text"), ())
        and p.suffix.lower() in _SUFFIXES
    )
    listed = ", ".join(there[:_MAX_LISTED])
    if len(there) > _MAX_LISTED:
        listed += f" and {len(there) - _MAX_LISTED} more"
    return refuse(
        path,
        "is a folder",
        f"Name one of the files in it, {_FITTING[kind]}",
        expected=_FITTING[kind],
        got=listed or "no recording of this kind in it",
    )
