"""Makers of small recordings. Those written byte by byte know nothing of the readers' libraries."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

G_MPS2 = 9.80665


@dataclass
class EdfSpec:
    """An EDF or BDF file; every sample of signal k is ``ramp + 100 * k`` as a stored number."""

    labels: Sequence[str] = ("EEG Fpz-Cz",)
    unit: bytes = b"uV"
    per_record: int = 100
    record_s: str = "1"
    n_records: int = 10
    stated_records: int | None = None
    onsets_s: Sequence[float] | None = None
    """Given: EDF+D with these record onsets."""
    bdf: bool = False
    start: bytes = b"02.03.2119.04.05"
    recording: bytes = b""
    digital: tuple[int, int] = (-32768, 32767)
    physical: tuple[str, str] = ("-327.68", "327.67")
    """With ``digital`` it makes one stored number 0.01 units."""


def edf_bytes(spec: EdfSpec) -> bytes:
    """Return the bytes of a file after the EDF (2003) and BDF format definitions."""
    plus = spec.onsets_s is not None
    width = 3 if spec.bdf else 2
    labels = [label.encode("latin-1") for label in spec.labels]
    counts = [spec.per_record] * len(labels)
    if plus:
        labels.append(b"BDF Annotations" if spec.bdf else b"EDF Annotations")
        counts.append(24)
    n = len(labels)
    stated = spec.n_records if spec.stated_records is None else spec.stated_records
    reserved = (b"BDF+D" if spec.bdf else b"EDF+D") if plus else b"24BIT" if spec.bdf else b""
    head = b"".join(
        [
            b"\xffBIOSEMI" if spec.bdf else b"0       ",
            b"X X X X".ljust(80),
            spec.recording.ljust(80),
            spec.start,
            str(256 * (n + 1)).encode().ljust(8),
            reserved.ljust(44),
            str(stated).encode().ljust(8),
            spec.record_s.encode().ljust(8),
            str(n).encode().ljust(4),
        ]
    )
    fields: list[tuple[int, list[bytes]]] = [
        (16, labels),
        (80, [b""] * n),
        (8, [spec.unit] * n),
        (8, [spec.physical[0].encode()] * n),
        (8, [spec.physical[1].encode()] * n),
        (8, [str(spec.digital[0]).encode()] * n),
        (8, [str(spec.digital[1]).encode()] * n),
        (80, [b""] * n),
        (8, [str(count).encode() for count in counts]),
        (32, [b""] * n),
    ]
    head += b"".join(text.ljust(size) for size, texts in fields for text in texts)
    body = []
    for record in range(spec.n_records):
        for k in range(len(spec.labels)):
            first = record * spec.per_record
            for sample in range(first, first + spec.per_record):
                body.append((edf_digital(sample, k)).to_bytes(width, "little", signed=True))
        if spec.onsets_s is not None:
            tal = f"+{spec.onsets_s[record]:g}\x14\x14\x00".encode()
            body.append(tal.ljust(24 * width, b"\0"))
    return head + b"".join(body)


def edf_digital(sample: int, signal: int) -> int:
    """Return the stored number of a sample: runs from -500 to 500, shifted for each signal."""
    return sample % 1001 - 500 + 100 * signal


@dataclass
class XdfStreamSpec:
    """One stream of an XDF file."""

    name: str
    type: str
    rate_hz: float
    labels: Sequence[str]
    stamps_s: npt.NDArray[np.float64]
    values: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    """(n, channels); empty makes a stream of text."""
    unit: str = "microvolts"
    simulated: bool = False


def _xdf_chunk(tag: int, content: bytes) -> bytes:
    return b"\x04" + struct.pack("<IH", len(content) + 2, tag) + content


def _xdf_header(spec: XdfStreamSpec) -> str:
    text = spec.values.size == 0
    channels = "".join(
        f"<channel><label>{label}</label><unit>{spec.unit}</unit></channel>"
        for label in spec.labels
    )
    simulated = "<acquisition><simulated>true</simulated></acquisition>" if spec.simulated else ""
    return (
        f"<info><name>{spec.name}</name><type>{spec.type}</type>"
        f"<channel_count>{max(1, len(spec.labels))}</channel_count>"
        f"<nominal_srate>{spec.rate_hz}</nominal_srate>"
        f"<channel_format>{'string' if text else 'float32'}</channel_format>"
        f"<desc><channels>{channels}</channels>{simulated}</desc></info>"
    )


def xdf_bytes(
    streams: Sequence[XdfStreamSpec],
    *,
    start: str = "2021-05-06T07:08:09+0000",
    samples_per_chunk: int = 10,
) -> bytes:
    """Return the bytes of a file after the XDF 1.0 specification."""
    header = f"<info><version>1.0</version><datetime>{start}</datetime></info>".encode()
    out = [b"XDF:", _xdf_chunk(1, header)]
    for number, spec in enumerate(streams, 1):
        identity = struct.pack("<I", number)
        out.append(_xdf_chunk(2, identity + _xdf_header(spec).encode()))
        for begin in range(0, len(spec.stamps_s), samples_per_chunk):
            stamps = spec.stamps_s[begin : begin + samples_per_chunk]
            content = b"\x04" + struct.pack("<I", len(stamps))
            for row, stamp in enumerate(stamps, begin):
                content += b"\x08" + struct.pack("<d", stamp)
                if spec.values.size:
                    content += spec.values[row].astype("<f4").tobytes()
                else:
                    content += b"\x01\x03" + b"tap"
            out.append(_xdf_chunk(3, identity + content))
    return b"".join(out)


AXES = ("Acc_X", "Acc_Y", "Acc_Z", "Gyr_X", "Gyr_Y", "Gyr_Z")


def imu_rows(n: int) -> npt.NDArray[np.float64]:
    """Return rows of a sensor that turns slowly, m/s^2 and rad/s, no two alike."""
    k = np.arange(n)
    rows = np.zeros((n, 6))
    rows[:, 0] = 0.001 * k
    rows[:, 2] = G_MPS2
    rows[:, 4] = 0.5 + 0.0001 * k
    return rows


def imu_text(
    rows: npt.NDArray[np.float64],
    *,
    names: Sequence[str] = AXES,
    delimiter: str = ",",
    preamble: str = "",
    first: Sequence[float] | None = None,
    first_name: str = "PacketCounter",
) -> str:
    """Return the text of an IMU file; ``first`` is a leading column."""
    lines = [delimiter.join(names if first is None else (first_name, *names))]
    for k, row in enumerate(rows):
        cells = [repr(float(value)) for value in row]
        lines.append(delimiter.join(cells if first is None else (repr(first[k]), *cells)))
    return preamble + "\n".join(lines) + "\n"


def write_video(path: Path, n_frames: int, rate_hz: float = 20.0) -> Path:
    """Write 64 x 48 frames of pure red, the brightness of frame k being 40 + 5 * k."""
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate_hz, (64, 48))
    assert writer.isOpened()
    for k in range(n_frames):
        bgr = np.zeros((48, 64, 3), np.uint8)
        bgr[..., 2] = 40 + 5 * k
        writer.write(bgr)
    writer.release()
    return path


def write_picture(path: Path, red: int, size: tuple[int, int] = (48, 64)) -> Path:
    """Write a picture of pure red."""
    import cv2

    bgr = np.zeros((*size, 3), np.uint8)
    bgr[..., 2] = red
    assert cv2.imwrite(str(path), bgr)
    return path
